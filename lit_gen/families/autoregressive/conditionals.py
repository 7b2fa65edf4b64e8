"""One dimension after the other: what an autoregressive model is asked while it draws a sample."""

from __future__ import annotations

import abc
from collections.abc import Callable

import torch
from torch import Tensor
from typing_extensions import override


class Conditionals(abc.ABC):
    """``p(x_i | x_<i)`` of a batch, for one dimension after the other, in the model's order.

    A network with a cache computes in each call only what is new; together its calls cost about one pass over the
    whole example, where :class:`Naive` costs one pass for each dimension.
    """

    @abc.abstractmethod
    def next(self, value: Tensor | None) -> Tensor:
        """Logits of the next dimension, ``[B, num_levels]``.

        Args:
            value: Levels int64 ``[B]`` of the dimension asked for last; None at the first call, and only there.
        """


class Naive(Conditionals):
    """A full pass for each dimension: what caches are checked against, and what a model without one samples by.

    Args:
        logits: From levels ``[B, D]`` to logits ``[B, num_levels, D]``, of which those of dimension i depend on the
            dimensions before it in the order.
        order: Positions ``[D]`` of the dimensions, first to last.
        batch_size: B.
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
    """The level at which the cumulative probability passes u: int64 ``[B]``.

    Args:
        logits: ``[B, num_levels]``.
        u: Uniform on [0, 1), ``[B]``.
        temperature: Divides the logits; at 0 the likeliest level is taken.

    >>> draw(torch.tensor([[0.5, 0.25, 0.25]]).log().expand(3, 3), torch.tensor([0.4, 0.6, 0.9]), 1.0).tolist()
    [0, 1, 2]
    """
    if temperature == 0:
        return logits.argmax(1)
    cumulative = (logits / temperature).softmax(1).cumsum(1)
    below, total = cumulative[:, :-1], cumulative[:, -1:]  # a sum in float32 can end short of one
    return ((u[:, None] * total >= below) & (below < total)).sum(1)
