"""The Frechet distance extrapolated to infinitely many samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.metrics.gaussians import FrechetReference, Moments
from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.frechet import FrechetDistance
from lit_gen.metrics.statistics.kept_features import KeptFeatures, check_kept
from lit_gen.metrics.statistics.statistic import NUM_GROUPS
from lit_gen.metrics.sums import jackknife_error

LEAST = 4
"""Samples for each feature that the extrapolation needs; the smallest subset has half of that."""
SEED = 2020


class FrechetInfinity(KeptFeatures):
    """The Frechet distance that infinitely many samples would have, by a line through subsets' distances against 1/n.

    The distance's bias is about proportional to 1/n once there are more samples than features. Distances of
    ``num_sizes`` subsets, from half of the samples to all, are fitted by least squares with a line in 1/n, whose value
    at 0 is the score. So scores of different numbers of samples compare. The reference is held fixed, and its own bias
    remains. Subsets are nested, in one order drawn with the seed 2020. In the paper they begin at a tenth of 50,000
    samples; here at half, since the line holds only where there are more samples than features.

    The standard error is a delete-one-group jackknife's of the whole extrapolation, several times that of the distance.

    Memory: that of :class:`KeptFeatures`, and 16 D^2 bytes.

    Args:
        num_features: Number of features D.
        reference: Another instance's ``summary()``, of the real data.
        num_samples: Number of samples m that there will be over all processes, at least 4 D.
        num_sizes: Number of subsets.
        num_groups: Number of groups of the jackknife.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.

    Raises:
        UserError: There are fewer than 3 subsets; by ``check_counts``, there are fewer than 4 D samples.

    References:
        Chong and Forsyth 2020, Effectively unbiased FID and Inception Score and where to find them,
        https://arxiv.org/abs/1911.07023, section 4.
    """

    scores = (ScoreSpec("fdinf", "FD-infinity", standard=("fidinf", "FID-infinity")),)

    def __init__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_samples: int,
        num_sizes: int = 10,
        num_groups: int = NUM_GROUPS,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_features, reference, num_samples=num_samples, num_groups=num_groups, **kwargs)
        if num_sizes < 3:
            raise UserError(f"FrechetInfinity: num_sizes is {num_sizes}; a line with an error needs 3 or more")
        self._num_sizes = num_sizes

    @override
    def check_counts(self, num_reference: int) -> None:
        """Validates that there are enough samples for the line to hold."""
        if self._few:
            least = LEAST * self.num_features
            raise UserError(
                f"FrechetInfinity: {self.num_features:,} features need {least:,} samples or more, not"
                f" {self.num_samples:,}"
            )

    @override
    def note(self, few_examples: int) -> str:
        """Says where there are too few samples for the line to hold, which the command line rejects."""
        return f"fewer than {LEAST} samples for each feature: the extrapolation does not hold" if self._few else ""

    @property
    def _few(self) -> bool:
        return self.num_samples < LEAST * self.num_features

    @override
    def summary(self) -> dict[str, Tensor]:
        """Returns count, sum and outer products of all features, on the CPU; all processes must call it together."""
        with self.sync_context(should_sync=not self._is_synced):
            check_kept(self)
            return Moments.of(self.features).summary()

    @override
    def summary_key(self) -> str:
        """Returns the key of the Frechet distance, whose sums these are."""
        return FrechetDistance(self.num_features, num_groups=1).summary_key()

    @override
    @classmethod
    def is_usable(cls, summary: Mapping[str, Tensor]) -> bool:
        """Returns whether there are two examples or more, all finite."""
        return FrechetDistance.is_usable(summary)

    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes ``fdinf`` and ``fdinf_se``.

        Raises:
            ValueError: There is no reference; samples are missing or came twice; features are not finite.
        """
        check_kept(self)
        reference = FrechetReference.of(Moments(**self.reference))
        order = torch.randperm(self.num_samples, generator=torch.Generator().manual_seed(SEED))
        group = self.group(torch.arange(self.num_samples)).cpu()[order]
        value = self._extrapolated(order, reference)
        without = [self._extrapolated(order[group != g], reference) for g in range(self.num_groups)]
        return {"fdinf": torch.tensor(value, dtype=torch.float64), "fdinf_se": jackknife_error(without)}

    def _extrapolated(self, rows: Tensor, reference: FrechetReference) -> float:
        """The line's value at 0 for these samples, in the order of the subsets."""
        sizes = torch.linspace(len(rows) / 2, len(rows), self._num_sizes).round().long().tolist()
        sums, done, distances = None, 0, []
        for size in sizes:  # each adds the samples that it has more than the one before
            more = Moments.of(self.features[rows[done:size].to(self.device)])
            sums = more if sums is None else Moments(*(a + b for a, b in zip(_parts(sums), _parts(more), strict=True)))
            distances.append(reference.distance(sums))
            done = size
        inverse = 1 / torch.tensor(sizes, dtype=torch.float64)
        line = torch.stack([torch.ones_like(inverse), inverse], 1)
        return float(torch.linalg.lstsq(line, torch.tensor(distances, dtype=torch.float64)[:, None]).solution[0])

    @override
    def protocol(self) -> dict[str, Any]:
        """Returns the number of subsets, the smallest one's share of the samples, and the seed of their order."""
        return {"statistic": {"num_sizes": self._num_sizes, "smallest": 0.5, "subset_seed": SEED}}


def _parts(moments: Moments) -> tuple[Tensor, Tensor, Tensor]:
    return moments.count, moments.total, moments.outer
