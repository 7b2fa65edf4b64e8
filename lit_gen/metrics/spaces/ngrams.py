"""How often short sequences of symbols occur in text."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace, Modality, kind_of
from lit_gen.metrics.statistics.jensen_shannon import JensenShannon
from lit_gen.metrics.statistics.ngram_overlap import NGramOverlap
from lit_gen.metrics.statistics.statistic import FeatureKind, Statistic

MOST_NGRAMS = 2**22
"""Different n-grams whose counts are kept, of which there are a dozen sets at once: 400 MB."""


class NGrams(FeatureSpace):
    """The n-grams within each window of text, as their numbers.

    An n-gram is numbered in base ``num_symbols``, its first symbol counting most. None crosses a window's end. The
    space is named after n, as in jsd_3grams.

    Args:
        n: symbols of an n-gram.
        num_symbols: size of the vocabulary, the data's ``num_levels``.

    Raises:
        UserError: settings that cannot be, or more than 2**22 different n-grams.
    """

    modality: ClassVar[Modality] = "text"
    feature_kind: ClassVar[FeatureKind] = "symbols"
    internal_batch = 250

    place: Tensor

    def __init__(self, n: int = 3, num_symbols: int = 65) -> None:
        super().__init__()
        if n < 1 or not 1 < num_symbols <= 256:
            raise UserError(f"NGrams: n={n} must be at least 1 and num_symbols={num_symbols} in 2..256")
        if num_symbols**n > MOST_NGRAMS:
            fits = max(m for m in range(1, n) if num_symbols**m <= MOST_NGRAMS)
            raise UserError(
                f"NGrams: {num_symbols} symbols have {num_symbols**n:,} different {n}-grams, and {MOST_NGRAMS:,} can be"
                f" counted; set n to {fits}"
            )
        self.n, self.num_symbols = n, num_symbols
        self.name = f"{n}grams"
        self.num_features = num_symbols**n
        self.sha256 = hashlib.sha256(repr(("ngrams", n, num_symbols)).encode()).hexdigest()
        self.register_buffer("place", torch.zeros(()), persistent=False)  # something that is on a device

    @property
    @override
    def default_statistics(self) -> tuple[type[Statistic], ...]:
        """The Jensen-Shannon divergence, and precision and recall."""
        return (JensenShannon, NGramOverlap)

    def check_data(self, shape: tuple[int, ...], num_levels: int, sample_rate: int | None = None) -> None:
        """Validates that windows are at least an n-gram long, and that the vocabulary is large enough."""
        self._check_length(shape[-1])
        if num_levels > self.num_symbols:
            raise UserError(
                f"NGrams: num_symbols is {self.num_symbols}, and the data have {num_levels};"
                f" set num_symbols to {num_levels}"
            )

    def _check_length(self, length: int) -> None:
        if length < self.n:
            raise UserError(f"NGrams: n is {self.n}, and windows have {length} symbols; set n to at most that")

    def check(self, x: Tensor) -> None:
        """Validates examples.

        Raises:
            ValueError: For another dtype or shape, or an empty batch.
            UserError: For windows shorter than n, or a symbol that is none of ``num_symbols``.
        """
        if x.dtype != torch.uint8 or x.ndim != 2 or len(x) == 0:
            raise ValueError(f"{self.name} takes uint8 [B, T] with B > 0, not {kind_of(x)}")
        self._check_length(x.shape[1])
        if (highest := int(x.max())) >= self.num_symbols:
            raise UserError(
                f"NGrams: there is a symbol {highest}, and num_symbols is {self.num_symbols};"
                f" set num_symbols to at least {highest + 1}"
            )

    def extract(self, x: Tensor) -> Features:
        """Numbers of the n-grams of uint8 [250, T], from the window's start to its end: int64 [250, T - n + 1]."""
        length = x.shape[1] - self.n + 1
        number = torch.zeros(len(x), length, dtype=torch.int64, device=x.device)
        for i in range(self.n):
            number = number * self.num_symbols + x[:, i : i + length]
        return Features(number, torch.zeros(len(x), 0, device=x.device))
