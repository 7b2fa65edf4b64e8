"""Autoregressive models whose network reads a sequence: whatever the data's shape, in the order of reading."""

from __future__ import annotations

import abc
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.families.autoregressive.autoregressive import Autoregressive
from lit_gen.families.autoregressive.conditionals import Conditionals


class Cache(Protocol):
    """What a network offers to be asked for one position after the other."""

    def next(self, symbol: Tensor | None) -> Tensor:
        """Logits ``[B, L]`` from the symbols int64 ``[B]`` at the last position; None at the first."""


class Cached(Conditionals):
    """A network's cache, asked in the model's order."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    @override
    def next(self, value: Tensor | None) -> Tensor:
        return self.cache.next(value)


class SequenceModel(Autoregressive, abc.ABC):
    """An autoregressive model of images, text and audio alike: their levels are symbols in a row.

    A subclass sets ``net``, from symbols int64 ``[B, D]`` (and labels ``[B]`` or None) to logits
    ``[B, D, num_levels]``, those of a position from the positions before it, and gives :meth:`cache`.
    """

    net: nn.Module

    @abc.abstractmethod
    def cache(self, batch_size: int, label: Tensor | None) -> Cache:
        """The network, one position after the other."""

    def symbols(self, x: Tensor) -> Tensor:
        """Levels ``[B, *shape]`` in the order of reading: int64 ``[B, D]``."""
        return x.flatten(1)[:, self.order].long()

    @override
    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        read = self.net(self.symbols(x), label)
        if self.lies_in_order:
            return read.transpose(1, 2).unflatten(2, self.shape)
        return read[:, self.order.argsort()].transpose(1, 2).unflatten(2, self.shape)

    @property
    def lies_in_order(self) -> bool:
        """Whether reading goes through memory from its start to its end."""
        return len(self.shape) != 3 or self.shape[0] == 1

    @override
    def log_prob(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """On the logits as they lie, for a copy of them costs as much as a layer."""
        symbols = self.symbols(x)
        logits = self.net(symbols, label)
        if not logits.is_contiguous():  # time first
            logits, symbols = logits.transpose(0, 1), symbols.T
            return -nats(logits, symbols).sum(0)
        return -nats(logits, symbols).sum(1)

    @override
    def conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """From the network's cache."""
        return Cached(self.cache(batch_size, label))


def nats(logits: Tensor, symbols: Tensor) -> Tensor:
    """What each of the symbols ``[...]`` costs under logits ``[..., L]``, in float32: ``[...]``."""
    each = F.cross_entropy(logits.flatten(0, -2).float(), symbols.flatten(), reduction="none")
    return torch.unflatten(each, 0, symbols.shape)
