"""Uniform noise."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.entries.baselines.baseline import Baseline
from lit_gen.noise import Noise


class UniformNoise(Baseline):
    """All values with equal probability, independently in each dimension.

    Its likelihood, log2 of the number of values, stands in every record of a model with a likelihood.
    """

    name = "uniform noise"

    @override
    def fit(self, x: Tensor) -> None:
        pass

    @override
    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        return (noise.uniform(*self.shape) * self.num_levels).to(torch.uint8)
