"""Statistics of how often each n-gram occurs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.statistics.statistic import NUM_GROUPS, FeatureKind, Statistic


class NGramCounts(Statistic):
    """Base class of statistics whose state is the number of times that each n-gram occurs, float64 [groups, K].

    All of them share their references. A subclass implements ``compute``.

    Memory: 8 ``num_groups`` K bytes for K different n-grams.

    Args:
        num_features: Number of different n-grams K.
        reference: Another instance's ``summary()``, of the real data.
        num_groups: Number of groups of the jackknife.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.
    """

    feature_kind: ClassVar[FeatureKind] = "symbols"

    count: Tensor

    def __init__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_groups: int = NUM_GROUPS,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_features, reference, num_groups=num_groups, **kwargs)
        self.add_state("count", torch.zeros(num_groups, num_features, dtype=torch.float64))

    @override
    def update(self, features: Tensor, index: Tensor) -> None:
        """Counts n-grams by their numbers, int64 [B, L], of the samples with these indices [B]."""
        number = features.to(self.device) + self.num_features * self.group(index)[:, None]
        ones = torch.ones(number.numel(), dtype=torch.float64, device=number.device)
        self.count.view(-1).index_add_(0, number.flatten(), ones)

    @override
    def summary_key(self) -> str:
        """Returns a key that is that of all statistics of these counts."""
        return repr((f"{NGramCounts.__module__}.{NGramCounts.__qualname__}", {"num_features": self.num_features}))

    @override
    @classmethod
    def is_usable(cls, summary: Mapping[str, Tensor]) -> bool:
        """Returns whether there is an n-gram."""
        return bool(summary["count"].sum() > 0)
