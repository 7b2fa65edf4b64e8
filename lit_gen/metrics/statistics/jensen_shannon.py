"""The Jensen-Shannon divergence of two distributions of n-grams."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.statistic import NUM_GROUPS, FeatureKind, Statistic


def jensen_shannon(a: Tensor, b: Tensor) -> float:
    """The Jensen-Shannon divergence of two distributions in bits: 0 where they agree, 1 where they share no n-gram.

    (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2 and p, q the relative frequencies. It is biased upwards:
    frequencies of finite sets differ even where their sources do not, by about (K - 1) / (8 ln 2) (1/N + 1/M) bits
    for K n-grams that all occur often, N and M times in all, and by more where most are rare. So it compares only at
    equal counts, and with what real text has at that count.

    Args:
        a: Number of times that each n-gram occurs, float64 [K].
        b: Counts of the other distribution.

    Raises:
        ValueError: A side has no n-gram.

    References:
        Lin 1991, Divergence measures based on the Shannon entropy, https://doi.org/10.1109/18.61115, equation 4.1.
    """
    if not (a.sum() > 0 and b.sum() > 0):
        raise ValueError("a distribution needs 1 n-gram or more")
    occurs = (a + b) > 0
    p, q = a[occurs] / a.sum(), b[occurs] / b.sum()
    m = (p + q) / 2
    return float((torch.xlogy(p, p / m).sum() + torch.xlogy(q, q / m).sum()) / (2 * math.log(2)))


class JensenShannon(Statistic):
    """The divergence between the n-grams of samples and of the reference, in bits: see :func:`jensen_shannon`.

    It compares at equal counts alone. The standard error is a jackknife's with the reference held fixed.

    Memory: 8 ``num_groups`` K bytes for K different n-grams.

    Args:
        num_features: Number of different n-grams K.
        reference: Another instance's ``summary()``, of the real data.
        num_groups: Number of groups of the jackknife.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.
    """

    scores: ClassVar[tuple[ScoreSpec, ...]] = (ScoreSpec("jsd", "JSD", unit="bits", decimals=3),)
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
    def compute(self) -> dict[str, Tensor]:
        """Computes ``jsd`` and ``jsd_se``.

        Raises:
            ValueError: There is no reference, or a side has no n-gram.
        """
        reference = self.reference["count"].cpu()
        value, error = self.jackknife(lambda state: jensen_shannon(state["count"], reference))
        return {"jsd": value, "jsd_se": error}

    @override
    @classmethod
    def is_usable(cls, summary: Mapping[str, Tensor]) -> bool:
        """Returns whether there is an n-gram."""
        return bool(summary["count"].sum() > 0)
