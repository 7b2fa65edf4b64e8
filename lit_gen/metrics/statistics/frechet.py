"""The Frechet distance between two sets of features, from sums that stream and add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.gaussians import FewExamples, FrechetReference, Moments, frechet_distance
from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.kept_features import check_kept, keep
from lit_gen.metrics.statistics.statistic import NUM_GROUPS, Statistic
from lit_gen.metrics.sums import jackknife_error

__all__ = ["FrechetDistance", "FrechetReference", "Moments", "frechet_distance"]


class FrechetDistance(Statistic):
    """The Frechet distance of samples' features from those of the reference: see :func:`frechet_distance`.

    Named FID in the space of Inception with torch-fidelity's weights, and FD-<space> in any other.

    The standard error is a jackknife's with the reference held fixed; the distance's bias is not part of it. Where
    samples are as good as real ones the distance has no slope left, and the error comes out too large rather than too
    small: 1.7 and 1.2 times the spread over 12 draws of 2,000 and of 5,000 MNIST images, against 1.0 to 1.1 times
    where the distance is far above its minimum.

    Memory: 8 ``num_groups`` D^2 bytes, 336 MB for 2,048 features and 10 groups. Where the number of samples is known
    and is not above D, their features are kept instead, 4 m D bytes, and the distance is computed from matrices of
    m x m: see :class:`FewExamples`. Both give the same numbers to 9 digits or more.

    Args:
        num_features: Number of features D.
        reference: Another instance's ``summary()``, of the real data.
        num_samples: Number of samples m that there will be over all processes; None where it is not known.
        num_groups: Number of groups of the jackknife.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.
    """

    scores = (ScoreSpec("fd", "FD", standard=("fid", "FID")),)

    count: Tensor
    total: Tensor
    outer: Tensor
    features: Tensor
    seen: Tensor

    def __init__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_samples: int | None = None,
        num_groups: int = NUM_GROUPS,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_features, reference, num_groups=num_groups, **kwargs)
        self.num_samples = num_samples
        self._few = num_samples is not None and num_samples <= num_features
        if num_samples is not None and self._few:
            self.add_state("features", torch.zeros(num_samples, num_features))
            self.add_state("seen", torch.zeros(num_samples))
            return
        self.add_state("count", torch.zeros(num_groups, dtype=torch.float64))
        self.add_state("total", torch.zeros(num_groups, num_features, dtype=torch.float64))
        self.add_state("outer", torch.zeros(num_groups, num_features, num_features, dtype=torch.float64))

    @override
    def update(self, features: Tensor, index: Tensor) -> None:
        """Adds features [B, D] of the samples with these indices [B]."""
        if self._few:
            keep(self, features, index)
            return
        features, group = features.to(self.device).double(), self.group(index)
        for g in range(self.num_groups):
            x = features[group == g]
            self.count[g].add_(len(x))
            self.total[g].add_(x.sum(0))
            self.outer[g].addmm_(x.T, x)

    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes ``fd`` and ``fd_se``.

        Raises:
            ValueError: There is no reference; a side has fewer than two examples, or features that are not finite.
        """
        if self._few:
            return self._compute_from_few(Moments(**self.reference))
        reference = FrechetReference.of(Moments(**self.reference))
        value, error = self.jackknife(lambda state: reference.distance(Moments(**state)))
        return {"fd": value, "fd_se": error}

    def _compute_from_few(self, reference: Moments) -> dict[str, Tensor]:
        check_kept(self)
        if self.num_groups < 2:
            raise ValueError("a jackknife needs 2 groups or more")
        few, group = FewExamples(self.features, reference), self.group(torch.arange(len(self.seen))).cpu()
        without = [few.distance(group != g) for g in range(self.num_groups)]
        value = few.distance(torch.ones_like(group, dtype=torch.bool))
        return {"fd": torch.tensor(value, dtype=torch.float64), "fd_se": jackknife_error(without)}

    @override
    def summary(self) -> dict[str, Tensor]:
        """Returns count, sum and outer products of all features, on the CPU; all processes must call it together."""
        if not self._few:
            return super().summary()
        with self.sync_context(should_sync=not self._is_synced):
            check_kept(self)
            return Moments.of(self.features).summary()

    @override
    def note(self, few_examples: int) -> str:
        """Says that bias is a large part of the distance where samples or reference examples are few."""
        samples = float(self.count.sum()) if self.num_samples is None else self.num_samples
        fewest = int(min(samples, float(self.reference["count"])))
        if fewest >= few_examples:
            return ""
        return f"{fewest:,} examples are few for {self.num_features:,} features: much of the distance is bias"

    @override
    @classmethod
    def is_usable(cls, summary: Mapping[str, Tensor]) -> bool:
        """Returns whether there are two examples or more, all finite."""
        return bool(summary["count"] >= 2) and super().is_usable(summary)
