"""A Gaussian fitted to the values."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.entries.baselines.baseline import Baseline
from lit_gen.errors import UserError
from lit_gen.noise import Noise

MOST_DIMENSIONS = 4096
"""Beyond these a covariance matrix and its factor take more than a quarter of a gigabyte."""
_BLOCK = 4096


class GaussianValues(Baseline):
    """A multivariate Gaussian with the mean and covariance of the training split, rounded to the data's values.

    It has all first and second moments of the data, and nothing else.
    """

    name = "Gaussian with the data's covariance"
    modalities = ("image", "audio")

    @override
    def fit(self, x: Tensor) -> None:
        dimensions = math.prod(self.shape)
        if dimensions > MOST_DIMENSIONS:
            raise UserError(f"{dimensions:,} dimensions; the covariance is computed for {MOST_DIMENSIONS:,} at most")
        total, squares = torch.zeros(dimensions, dtype=torch.float64), torch.zeros(dimensions, dimensions).double()
        centre = x[:_BLOCK].flatten(1).double().mean(0)  # near the mean, so that the difference below loses no digits
        for block in x.split(_BLOCK):
            rows = block.flatten(1).double() - centre
            total += rows.sum(0)
            squares += rows.T @ rows
        mean = total / len(x)
        covariance = squares / len(x) - torch.outer(mean, mean)
        # Constant pixels leave the matrix singular.
        jitter = 1e-9 * float(covariance.diagonal().mean()) + 1e-12
        factor, info = torch.linalg.cholesky_ex(covariance + jitter * torch.eye(dimensions, dtype=torch.float64))
        if info:
            values, vectors = torch.linalg.eigh(covariance)
            factor = vectors * values.clamp_min(0).sqrt()
        self._mean, self._factor = (mean + centre).float(), factor.float()

    @override
    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        drawn = noise.normal(len(self._mean)).cpu() @ self._factor.T + self._mean
        return drawn.round().clamp(0, self.num_levels - 1).to(torch.uint8).reshape(len(noise), *self.shape)
