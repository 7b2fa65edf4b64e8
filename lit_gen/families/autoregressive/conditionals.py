"""Conditional distributions for incremental decoding."""

from __future__ import annotations

import abc
from collections.abc import Callable

import torch
from torch import Tensor
from typing_extensions import override


class Conditionals(abc.ABC):
    """The conditionals ``p(x_i | x_<i)`` of a batch, one dimension per call, in the model's order.

    A network with a cache computes only the new activations in each call; all calls together take about one pass over
    the example, while :class:`Naive` takes one pass per dimension.
    """

    @abc.abstractmethod
    def next(self, value: Tensor | None) -> Tensor:
        """Logits of the next dimension, ``[B, num_levels]``.

        Args:
            value: Integers int64 ``[B]`` drawn for the previous dimension; None in the first call only.
        """


class Naive(Conditionals):
    """A full pass per dimension: the reference for caches, and the sampler of models without a cache.

    Args:
        logits: Function from integers ``[B, D]`` to logits ``[B, num_levels, D]``; those of dimension i depend on the
            dimensions before it in the order.
        order: Positions ``[D]`` of the dimensions, in the model's order.
        batch_size: Number of examples B.
    """

    def __init__(self, logits: Callable[[Tensor], Tensor], order: Tensor, batch_size: int) -> None:
        self.logits, self.order = logits, order
        self.x = torch.zeros(batch_size, len(order), dtype=torch.uint8, device=order.device)
        self.asked = 0

    @override
    def next(self, value: Tensor | None) -> Tensor:
        if value is not None:
            self.x[:, self.order[self.asked - 1]] = value.to(torch.uint8)
        self.asked += 1
        return self.logits(self.x)[:, :, self.order[self.asked - 1]]


def draw(logits: Tensor, u: Tensor, temperature: float) -> Tensor:
    """Samples a categorical by inverting its distribution function at u: int64 ``[B]``.

    Args:
        logits: Logits ``[B, num_levels]``.
        u: Uniform draws on [0, 1), ``[B]``.
        temperature: Divisor of the logits; 0 selects the most probable value.

    >>> draw(torch.tensor([[0.5, 0.25, 0.25]]).log().expand(3, 3), torch.tensor([0.4, 0.6, 0.9]), 1.0).tolist()
    [0, 1, 2]
    """
    if temperature == 0:
        return logits.argmax(1)
    cumulative = (logits / temperature).softmax(1).cumsum(1)
    below, total = cumulative[:, :-1], cumulative[:, -1:]  # a sum in float32 can end below one
    return ((u[:, None] * total >= below) & (below < total)).sum(1)
