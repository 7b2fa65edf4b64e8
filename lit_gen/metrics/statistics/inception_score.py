"""The Inception Score from sums that stream, equal to torch-fidelity's without keeping any prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.statistic import Statistic

SHUFFLE_SEED = 2020
"""torch-fidelity's ``rng_seed``."""
NUM_SPLITS = 10
"""torch-fidelity's ``isc_splits``."""


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


class InceptionScore(Statistic):
    """The Inception Score: the mean over splits of exp(mean KL(p(y|x) || p(y))), equal to torch-fidelity's.

    For one split of n samples the score is exp of the mean of KL(p_i || q), with q the mean of the p_i. That
    is mean_i sum_k p_ik log p_ik - sum_k q_k log q_k: two sums, for which no prediction has to be kept.

    Besides its standard error ``compute`` returns ``is_std``, the spread over splits that papers print after the score:
    divided by their number (not one less), as in torch-fidelity and TensorFlow. By another classifier than Inception
    with torch-fidelity's weights the score is named after that, as in is_mnist_cnn.

    Args:
        num_features: Number of features, of which the score makes no use.
        reference: Ignored; the score is of samples alone.
        num_classes: Number of classes K.
        num_samples: Number of samples that there will be over all processes; it decides the split of each.
        num_splits: Number of splits S whose scores are averaged.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.

    Raises:
        UserError: There is no classifier, or there are fewer samples than splits or fewer than 2 splits.

    References:
        Salimans et al. 2016, Improved techniques for training GANs, https://arxiv.org/abs/1606.03498, sec. 4.
    """

    scores = (ScoreSpec("is", "IS", higher_is_better=True),)
    uses_reference: ClassVar[bool] = False

    count: Tensor
    prob: Tensor
    prob_log_prob: Tensor

    def __init__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_classes: int,
        num_samples: int,
        num_splits: int = NUM_SPLITS,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_features, **kwargs)
        self.check_space(num_classes)
        if not 2 <= num_splits <= num_samples:
            raise UserError(
                f"InceptionScore: {num_splits} splits need {num_splits} samples or more, not {num_samples},"
                " and a standard error needs 2 splits or more"
            )
        self.num_samples, self.num_splits = num_samples, num_splits
        self._split = split_of_sample(num_samples, num_splits)
        self.add_state("count", torch.zeros(num_splits, dtype=torch.float64))
        self.add_state("prob", torch.zeros(num_splits, num_classes, dtype=torch.float64))
        self.add_state("prob_log_prob", torch.zeros(num_splits, dtype=torch.float64))

    @override
    @classmethod
    def check_space(cls, num_classes: int) -> None:
        """Validates that there is a classifier."""
        if num_classes < 1:
            raise UserError("InceptionScore needs a feature space with a classifier")

    @override
    def update(self, logits: Tensor, index: Tensor) -> None:
        """Adds samples with logits [B, K] and indices [B] in 0..num_samples-1."""
        split = self._split[index.cpu()].to(self.device)
        log_prob = logits.to(self.device).double().log_softmax(dim=1)
        prob = log_prob.exp()
        self.count.index_add_(0, split, torch.ones_like(split, dtype=torch.float64))
        self.prob.index_add_(0, split, prob)
        self.prob_log_prob.index_add_(0, split, (prob * log_prob).sum(1))

    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes ``is``, ``is_se`` and ``is_std``.

        Raises:
            ValueError: Some of the samples are missing or came twice, or a logit is not finite.
        """
        if not torch.equal(self.count.cpu(), torch.bincount(self._split, minlength=self.num_splits).double()):
            raise ValueError(f"{int(self.count.sum())} samples were added, {self.num_samples} expected")
        marginal = self.prob / self.count[:, None]
        scores = (self.prob_log_prob / self.count - torch.special.xlogy(marginal, marginal).sum(1)).exp()
        if not scores.isfinite().all():
            raise ValueError("the logits hold values that are not finite")
        std = scores.std(correction=0)
        return {"is": scores.mean(), "is_se": std / math.sqrt(self.num_splits - 1), "is_std": std}

    @override
    def protocol(self) -> dict[str, Any]:
        """Returns the number of splits."""
        return {"is_splits": self.num_splits}
