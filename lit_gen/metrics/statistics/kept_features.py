"""Statistics that keep the features of all samples, since their definition compares pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.statistics.statistic import NUM_GROUPS, Statistic


def keep(statistic: Any, features: Tensor, index: Tensor) -> None:
    """Writes features [B, D] into the rows of a statistic's states ``features`` and ``seen``."""
    index = index.to(statistic.device)
    statistic.features[index] = features.to(statistic.device).float()
    statistic.seen[index] += 1


def check_kept(statistic: Any) -> None:
    """Validates a statistic's states ``features`` and ``seen``.

    Raises:
        ValueError: Some of the samples are missing or came twice, or features are not finite.
    """
    if not (statistic.seen == 1).all():
        raise ValueError(f"{int(statistic.seen.sum())} samples were added, {len(statistic.seen)} expected")
    if not statistic.features.isfinite().all():
        raise ValueError("the features hold values that are not finite")


class KeptFeatures(Statistic):
    """A statistic whose state is the features of all samples, float32 [m, D].

    Each process fills the rows of its own samples, so that a sum over processes puts them together. A subclass
    implements ``compute``; its summary is the features, and what it adds to them.

    Memory: 4 m D bytes for the samples and 4 n D bytes for the reference, on each process, and in the file that caches
    the reference: 410 MB for 50,000 examples of 2,048 features.

    Args:
        num_features: Number of features D.
        reference: Another instance's ``summary()``, of the real data.
        num_samples: Number of samples m that there will be over all processes.
        num_groups: Number of groups of the jackknife.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.
    """

    features: Tensor
    seen: Tensor

    def __init__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_samples: int,
        num_groups: int = NUM_GROUPS,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_features, reference, num_groups=num_groups, **kwargs)
        self.num_samples = num_samples
        self.add_state("features", torch.zeros(num_samples, num_features))
        self.add_state("seen", torch.zeros(num_samples))

    @override
    def update(self, features: Tensor, index: Tensor) -> None:
        """Keeps features [B, D] of samples with indices [B] in 0..num_samples-1."""
        keep(self, features, index)

    @override
    def summary(self) -> dict[str, Tensor]:
        """Returns the features of all processes, and what the subclass adds; all processes must call it together."""
        with self.sync_context(should_sync=not self._is_synced):
            check_kept(self)
            return {"features": self.features.cpu(), **self.summary_of(self.features)}

    def summary_of(self, features: Tensor) -> dict[str, Tensor]:
        """Returns what a reference holds beside its features [m, D]; a subclass may override it."""
        return {}

    @override
    @classmethod
    def is_usable(cls, summary: Mapping[str, Tensor]) -> bool:
        """Returns whether there are two examples or more, all finite."""
        return len(summary["features"]) >= 2 and super().is_usable(summary)
