"""The Jensen-Shannon divergence of two distributions of n-grams."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from lit_gen.metrics.sums import Sums


@dataclasses.dataclass(frozen=True)
class NGramCounts(Sums):
    """How often each n-gram occurred."""

    count: Tensor
    """float64 [num_symbols ** n], by the n-gram's number."""

    @classmethod
    def zeros(cls, num_ngrams: int, device: torch.device | str = "cpu") -> NGramCounts:
        """None at all."""
        return cls(torch.zeros(num_ngrams, dtype=torch.float64, device=device))

    def update(self, features: Tensor) -> None:
        """Adds n-grams by their numbers, int64 [B, L], in place."""
        numbers = features.flatten().to(self.count.device)
        self.count.index_add_(0, numbers, torch.ones_like(numbers, dtype=torch.float64))

    @property
    def complete(self) -> bool:
        """Whether there is an n-gram."""
        return bool(self.count.sum() > 0)


def jensen_shannon(a: NGramCounts, b: NGramCounts) -> float:
    """The Jensen-Shannon divergence of two distributions in bits: 0 where they agree, 1 where they share no n-gram.

    (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2 and p, q the relative frequencies. It is biased upwards:
    frequencies of finite sets differ even where their sources do not, by about (K - 1) / (8 ln 2) (1/N + 1/M) bits
    for K n-grams that all occur often, N and M times in all, and by more where most are rare. So it compares only at
    equal counts, and with what real text has at that count.

    Raises:
        ValueError: where a side has no n-gram.

    References:
        Lin 1991, Divergence measures based on the Shannon entropy, https://doi.org/10.1109/18.61115, equation 4.1.
    """
    if not (a.complete and b.complete):
        raise ValueError("a distribution needs 1 n-gram or more")
    occurs = (a.count + b.count) > 0
    p, q = a.count[occurs] / a.count.sum(), b.count[occurs] / b.count.sum()
    m = (p + q) / 2
    return float((torch.xlogy(p, p / m).sum() + torch.xlogy(q, q / m).sum()) / (2 * math.log(2)))
