"""Independent dimensions, each with its histogram."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.entries.baselines.baseline import Baseline
from lit_gen.likelihood import Likelihood
from lit_gen.noise import Noise

PSEUDO_COUNT = 0.5


class FactorizedCategorical(Baseline):
    """Dimensions without any dependence, each with the histogram of its values in the training split.

    Every count is raised by 1/2, so that no value has probability zero (Krichevsky, Trofimov: The Performance of
    Universal Encoding, 1981).
    """

    name = "factorized categorical"

    @override
    def fit(self, x: Tensor) -> None:
        flat = x.flatten(1)
        counts = torch.full((flat.shape[1], self.num_levels), PSEUDO_COUNT, dtype=torch.float64)
        for dimension, values in enumerate(flat.T):
            counts[dimension] += torch.bincount(values.long(), minlength=self.num_levels)
        self._log_probs = (counts / counts.sum(1, keepdim=True)).log()
        self._cumulative = self._log_probs.exp().cumsum(1)
        self.estimators = (self.name,)  # type: ignore[misc]

    @override
    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        flat = x.flatten(1).long().cpu()
        log_probs = self._log_probs[torch.arange(flat.shape[1]), flat]
        return Likelihood(-log_probs.sum(1).to(x.device), "exact", self.name)

    @override
    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        uniform = noise.uniform(math.prod(self.shape)).double().cpu()
        values = torch.searchsorted(self._cumulative, uniform.T.contiguous(), right=True).T
        return values.clamp_max(self.num_levels - 1).to(torch.uint8).reshape(len(noise), *self.shape)
