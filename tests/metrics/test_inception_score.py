"""The Inception Score: torch-fidelity's own number, from sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.metrics.statistics.inception_score import InceptionScoreSums, split_of_sample


def logits_of(n: int, num_classes: int = 7, seed: int = 0) -> Tensor:
    return 3 * torch.randn(n, num_classes, generator=torch.Generator().manual_seed(seed))


def streamed(logits: Tensor, index: Tensor, batch: int = 9) -> InceptionScoreSums:
    """Sums of the samples named by index, in that order."""
    sums = InceptionScoreSums.zeros(len(logits), logits.shape[1])
    for rows in index.split(batch):
        sums.update(rows, logits[rows])
    return sums


@pytest.mark.parametrize("n", [10, 64, 1003])
def test_equals_torch_fidelity_in_any_order_of_arrival(n: int) -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = logits_of(n)
    theirs = isc_features_to_metric(logits)
    for order in [torch.arange(n), torch.arange(n).flip(0)]:
        score = streamed(logits, order).compute()
        assert score.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
        assert score.std == pytest.approx(theirs["inception_score_std"], rel=1e-7, abs=1e-12)


def test_sums_of_two_ranks_add_up() -> None:
    logits, index = logits_of(101), torch.arange(101)
    first, second = streamed(logits, index[::2]), streamed(logits, index[1::2])
    others = iter([second.count, second.prob, second.prob_log_prob])
    together = first.map(lambda tensor: tensor + next(others)).compute()
    assert together == pytest.approx(streamed(logits, index).compute(), rel=1e-12)


def test_the_bounds_of_the_score() -> None:
    """Sure and balanced over K classes scores K; the same answer for every image, sure or not, scores 1."""
    n, num_classes = 4000, 4
    sure = 60 * torch.nn.functional.one_hot(torch.arange(n) % num_classes, num_classes).float()
    assert streamed(sure, torch.arange(n)).compute().mean == pytest.approx(num_classes, rel=0.01)
    collapsed = 60 * torch.nn.functional.one_hot(torch.zeros(n, dtype=torch.int64), num_classes).float()
    assert streamed(collapsed, torch.arange(n)).compute() == pytest.approx((1, 0, 10), abs=1e-12)
    unsure = torch.zeros(n, num_classes)
    assert streamed(unsure, torch.arange(n)).compute() == pytest.approx((1, 0, 10), abs=1e-12)


def test_splits_are_balanced_shuffled_and_leave_the_global_generators_alone() -> None:
    np.random.seed(1)  # noqa: NPY002  the generator that must not move
    torch_state = torch.get_rng_state()
    split = split_of_sample(1007)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.random.random() == np.random.RandomState(1).random_sample()  # noqa: NPY002
    assert set(split.bincount(minlength=10).tolist()) == {100, 101}
    assert len(split[:100].unique()) == 10  # sorted samples are spread over all splits


def test_the_standard_error_is_that_of_a_mean_of_ten() -> None:
    score = streamed(logits_of(500), torch.arange(500)).compute()
    assert score.standard_error == pytest.approx(score.std * math.sqrt(10 / 9) / math.sqrt(10))


def test_what_is_no_score_is_refused() -> None:
    logits = logits_of(40)
    with pytest.raises(ValueError, match="39 samples came where 40 were announced"):
        streamed(logits, torch.arange(39)).compute()
    logits[3, 2] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        streamed(logits, torch.arange(40)).compute()
    with pytest.raises(ValueError, match="10 splits need 10 samples"):
        InceptionScoreSums.zeros(9, 5)
