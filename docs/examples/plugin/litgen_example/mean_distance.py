"""A statistic: how far the mean of the samples' features is from that of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lit_gen.metrics import ScoreSpec, Statistic


class MeanDistance(Statistic):
    """Euclidean distance between the means of the features: zero says little, but a large one that a model is biased.

    Args:
        num_features: Number of features D.
        reference: Another instance's ``summary()``, of the real data.
        num_groups: Number of groups of the jackknife, which gives the error.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.
    """

    scores = (ScoreSpec("mean_distance", "mean distance", decimals=4),)

    count: Tensor
    total: Tensor

    def __init__(
        self, num_features: int, reference: Mapping[str, Tensor] | None = None, *, num_groups: int = 10, **kwargs: Any
    ) -> None:
        super().__init__(num_features, reference, num_groups=num_groups, **kwargs)
        # States are sums over samples, by group, in float64: they add up over batches and processes.
        self.add_state("count", torch.zeros(num_groups, dtype=torch.float64))
        self.add_state("total", torch.zeros(num_groups, num_features, dtype=torch.float64))

    def update(self, features: Tensor, index: Tensor) -> None:
        """Adds features [B, D] of the samples with these indices [B]."""
        group = self.group(index)
        self.count.index_add_(0, group, torch.ones_like(group, dtype=torch.float64))
        self.total.index_add_(0, group, features.to(self.device).double())

    def compute(self) -> dict[str, Tensor]:
        """Computes the distance and its standard error."""
        real = self.reference["total"] / self.reference["count"]
        value, error = self.jackknife(lambda sums: float((sums["total"] / sums["count"] - real).norm()))
        return {"mean_distance": value, "mean_distance_se": error}
