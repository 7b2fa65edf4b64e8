"""Autoregressive models with a sequence network, for data of any shape, in raster order."""

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
    """Incremental decoding of a sequence network."""

    def next(self, symbol: Tensor | None) -> Tensor:
        """Logits ``[B, L]``, given the symbols int64 ``[B]`` at the previous position; None in the first call."""


class Cached(Conditionals):
    """Conditionals from a network's cache."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    @override
    def next(self, value: Tensor | None) -> Tensor:
        return self.cache.next(value)


class SequenceModel(Autoregressive, abc.ABC):
    """Autoregressive model of images, text and audio: their values are the symbols of a sequence.

    A subclass sets ``net``, a module from symbols int64 ``[B, D]`` (and labels ``[B]`` or None) to logits
    ``[B, D, num_levels]`` that depend on previous positions only, and implements :meth:`cache`.
    """

    net: nn.Module

    @abc.abstractmethod
    def cache(self, batch_size: int, label: Tensor | None) -> Cache:
        """The network for incremental decoding."""

    def symbols(self, x: Tensor) -> Tensor:
        """Integers ``[B, *shape]`` in raster order: int64 ``[B, D]``."""
        return x.flatten(1)[:, self.order].long()

    @override
    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        read = self.net(self.symbols(x), label)
        if self.lies_in_order:
            return read.transpose(1, 2).unflatten(2, self.shape)
        return read[:, self.order.argsort()].transpose(1, 2).unflatten(2, self.shape)

    @property
    def lies_in_order(self) -> bool:
        """Whether the raster order is the memory order."""
        return len(self.shape) != 3 or self.shape[0] == 1

    @override
    def log_prob(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Uses the logits in their memory layout, because copying them takes as long as a layer."""
        symbols = self.symbols(x)
        logits = self.net(symbols, label)
        if not logits.is_contiguous():  # time first
            logits, symbols = logits.transpose(0, 1), symbols.T
            return -nats(logits, symbols).sum(0)
        return -nats(logits, symbols).sum(1)

    @override
    def conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """Conditionals from the network's cache."""
        return Cached(self.cache(batch_size, label))


def nats(logits: Tensor, symbols: Tensor) -> Tensor:
    """Negative log-likelihood of each of the symbols ``[...]`` under logits ``[..., L]``, in float32: ``[...]``."""
    each = F.cross_entropy(logits.flatten(0, -2).float(), symbols.flatten(), reduction="none")
    return torch.unflatten(each, 0, symbols.shape)
