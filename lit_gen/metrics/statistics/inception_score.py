"""The Inception Score from sums that stream, equal to torch-fidelity's without keeping any prediction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

SHUFFLE_SEED = 2020
"""torch-fidelity's ``rng_seed``."""
NUM_SPLITS = 10
"""torch-fidelity's ``isc_splits``."""


class InceptionScore(NamedTuple):
    """The score as the field quotes it: mean and standard deviation over splits."""

    mean: float
    std: float
    """Over splits, divided by their number (not one less), as in torch-fidelity and TensorFlow."""
    num_splits: int

    @property
    def standard_error(self) -> float:
        """The standard error of the mean, from the spread of the splits."""
        return self.std / math.sqrt(self.num_splits - 1)


def split_of_sample(num_samples: int, num_splits: int = NUM_SPLITS) -> Tensor:
    """Which split each sample falls into under torch-fidelity's own shuffle; int64 [num_samples].

    The shuffle guards against samples sorted by class. It has its own generator: no global RNG is touched.
    """
    shuffle = np.random.RandomState(SHUFFLE_SEED)
    order = torch.from_numpy(shuffle.permutation(num_samples))
    bounds = torch.tensor([k * num_samples // num_splits for k in range(num_splits + 1)])
    split = torch.empty(num_samples, dtype=torch.int64)
    split[order] = torch.arange(num_splits).repeat_interleave(bounds.diff())
    return split


@dataclasses.dataclass(frozen=True)
class InceptionScoreSums:
    """Sums over the samples of each split; samples come in any order, and the sums of several ranks add up.

    For one split of n samples the score is exp of the mean of KL(p_i || q), with q the mean of the p_i. That
    is mean_i sum_k p_ik log p_ik - sum_k q_k log q_k: two sums that need no second look at the samples.

    References:
        Salimans et al. 2016, Improved techniques for training GANs, https://arxiv.org/abs/1606.03498, sec. 4.
    """

    split: Tensor
    """int64 [N], the split of each of the samples that there will be."""
    count: Tensor
    """float64 [S], the samples that came."""
    prob: Tensor
    """float64 [S, K], the sum of their class probabilities."""
    prob_log_prob: Tensor
    """float64 [S], the sum of their negative entropies in nats."""

    @classmethod
    def zeros(
        cls,
        num_samples: int,
        num_classes: int,
        num_splits: int = NUM_SPLITS,
        device: torch.device | str = "cpu",
    ) -> InceptionScoreSums:
        """No samples yet.

        Args:
            num_samples: how many samples there will be over all ranks, which fixes each one's split.
            num_classes: K, the length of the logits.
            num_splits: S, the parts whose scores are averaged.
            device: where the sums are kept.

        Raises:
            ValueError: where a split would be empty.
        """
        if num_samples < num_splits:
            raise ValueError(f"{num_splits} splits need {num_splits} samples or more, not {num_samples}")
        return cls(
            split_of_sample(num_samples, num_splits).to(device),
            torch.zeros(num_splits, dtype=torch.float64, device=device),
            torch.zeros(num_splits, num_classes, dtype=torch.float64, device=device),
            torch.zeros(num_splits, dtype=torch.float64, device=device),
        )

    def update(self, index: Tensor, logits: Tensor) -> None:
        """Adds samples, in place.

        Args:
            index: int64 [B], each sample's number in 0..N-1.
            logits: [B, K].
        """
        split = self.split[index.to(self.split.device)]
        log_prob = logits.to(self.prob.device, torch.float64).log_softmax(dim=1)
        prob = log_prob.exp()
        self.count.index_add_(0, split, torch.ones_like(split, dtype=torch.float64))
        self.prob.index_add_(0, split, prob)
        self.prob_log_prob.index_add_(0, split, (prob * log_prob).sum(1))

    def map(self, transform: Callable[[Tensor], Tensor]) -> InceptionScoreSums:
        """The same with every sum transformed: an all-reduce, for one."""
        return dataclasses.replace(
            self,
            count=transform(self.count),
            prob=transform(self.prob),
            prob_log_prob=transform(self.prob_log_prob),
        )

    def compute(self) -> InceptionScore:
        """The score of all samples.

        Raises:
            ValueError: when not every announced sample came, or a logit was not finite.
        """
        if not torch.equal(self.count, torch.bincount(self.split, minlength=len(self.count)).double()):
            raise ValueError(f"{int(self.count.sum())} samples came where {len(self.split)} were announced")
        marginal = self.prob / self.count[:, None]
        scores = (self.prob_log_prob / self.count - torch.special.xlogy(marginal, marginal).sum(1)).exp()
        if not scores.isfinite().all():
            raise ValueError("the logits hold values that are not finite")
        return InceptionScore(scores.mean().item(), scores.std(correction=0).item(), len(scores))
