"""Interface of bijections."""

from __future__ import annotations

import abc
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from typing_extensions import override


class Bijection(nn.Module, abc.ABC):
    """An invertible transformation of float tensors, from data to latents.

    ``context`` is a second input for conditional bijections, on which the transformation may depend; others ignore
    it.
    """

    @abc.abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps x to z; the second result is ``log |det dz/dx|`` in nats, ``[B]``."""

    @abc.abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Maps z back to x."""


class Chain(Bijection):
    """Composition of bijections; log-determinants are added."""

    def __init__(self, bijections: Iterable[Bijection]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(bijections)

    @override
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = torch.zeros(len(x), device=x.device)
        for step in self.steps:
            x, log_abs_det_jacobian = step(x, context)
            total = total + log_abs_det_jacobian
        return x, total

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        for step in reversed(self.steps):
            z = step.inverse(z, context)  # type: ignore[operator]
        return z


def sum_dims(values: Tensor) -> Tensor:
    """Sums over all but the first dimension: ``[B]``, in float32 whatever the autocast."""
    return values.float().flatten(1).sum(1)
