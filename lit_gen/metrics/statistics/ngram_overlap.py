"""Precision and recall of n-grams: what share of one text's occurs in the other."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.ngram_counts import NGramCounts


def overlap(a: Tensor, b: Tensor) -> float:
    """The share of the n-grams of a, each as often as it occurs, that occur in b.

    >>> import torch
    >>> overlap(torch.tensor([3.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 9.0]))
    0.75

    Args:
        a: Number of times that each n-gram occurs, float64 [K].
        b: Counts of the other text.

    Raises:
        ValueError: A side has no n-gram.
    """
    if not (a.sum() > 0 and b.sum() > 0):
        raise ValueError("a distribution needs 1 n-gram or more")
    return float(a[b > 0].sum() / a.sum())


class NGramOverlap(NGramCounts):
    """Precision and recall of n-grams, as precision_3grams and recall_3grams.

    Precision is the share of the samples' n-grams that occur in the reference at all: the others are new, or nonsense.
    Recall is the share of the reference's n-grams that occur in the samples: the others are missing from them. Every
    occurrence counts, without clipping. Both grow with the other side's length, so that they compare only at equal
    counts, and with what real text has at that count. A sampler that repeats one true sentence has a precision of 1
    and a low recall.

    The standard errors are a jackknife's with the reference held fixed. Memory and arguments: see :class:`NGramCounts`.

    References:
        Papineni et al. 2002, BLEU, https://aclanthology.org/P02-1040, section 2.1, for the precision; Shi et al. 2018,
        Toward diverse text generation with inverse reinforcement learning, https://arxiv.org/abs/1804.11258, section
        5.1, for the recall ("backward").
    """

    scores = (
        ScoreSpec("precision", "precision", higher_is_better=True, decimals=3),
        ScoreSpec("recall", "recall", higher_is_better=True, decimals=3),
    )

    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes ``precision`` and ``recall`` with their standard errors.

        Raises:
            ValueError: There is no reference, or a side has no n-gram.
        """
        reference = self.reference["count"].cpu()
        precision, precision_se = self.jackknife(lambda state: overlap(state["count"], reference))
        recall, recall_se = self.jackknife(lambda state: overlap(reference, state["count"]))
        return {"precision": precision, "precision_se": precision_se, "recall": recall, "recall_se": recall_se}

    @override
    def protocol(self) -> dict[str, Any]:
        """Returns that occurrences are not clipped."""
        return {"statistic": {"clipped": False}}
