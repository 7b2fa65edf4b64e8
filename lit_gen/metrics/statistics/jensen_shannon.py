"""The Jensen-Shannon divergence of two distributions of n-grams."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.ngram_counts import NGramCounts


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


class JensenShannon(NGramCounts):
    """The divergence between the n-grams of samples and of the reference, in bits: see :func:`jensen_shannon`.

    It compares at equal counts alone. The standard error is a jackknife's with the reference held fixed.

    Memory and arguments: see :class:`NGramCounts`.
    """

    scores: ClassVar[tuple[ScoreSpec, ...]] = (ScoreSpec("jsd", "JSD", unit="bits", decimals=3),)

    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes ``jsd`` and ``jsd_se``.

        Raises:
            ValueError: There is no reference, or a side has no n-gram.
        """
        reference = self.reference["count"].cpu()
        value, error = self.jackknife(lambda state: jensen_shannon(state["count"], reference))
        return {"jsd": value, "jsd_se": error}
