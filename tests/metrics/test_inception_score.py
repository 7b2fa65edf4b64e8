"""The Inception Score: torch-fidelity's own number, from sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.statistics.inception_score import InceptionScore, split_of_sample


def logits_of(n: int, num_classes: int = 7, seed: int = 0) -> Tensor:
    return 3 * torch.randn(n, num_classes, generator=torch.Generator().manual_seed(seed))


def streamed(logits: Tensor, index: Tensor, batch: int = 9) -> InceptionScore:
    """The statistic updated with the samples of these indices, in that order."""
    statistic = InceptionScore(2, num_classes=logits.shape[1], num_samples=len(logits))
    for rows in index.split(batch):
        statistic.update(logits[rows], rows)
    return statistic


@pytest.mark.parametrize("n", [10, 64, 1003])
def test_equals_torch_fidelity_in_any_order_of_arrival(n: int) -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = logits_of(n)
    theirs = isc_features_to_metric(logits)
    for order in [torch.arange(n), torch.arange(n).flip(0)]:
        score = streamed(logits, order).compute()
        assert score["is"].item() == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
        assert score["is_std"].item() == pytest.approx(theirs["inception_score_std"], rel=1e-7, abs=1e-12)


def test_the_bounds_of_the_score() -> None:
    """Sure and balanced over K classes scores K; the same answer for every image, sure or not, scores 1."""
    n, num_classes = 4000, 4
    sure = 60 * torch.nn.functional.one_hot(torch.arange(n) % num_classes, num_classes).float()
    assert streamed(sure, torch.arange(n)).compute()["is"].item() == pytest.approx(num_classes, rel=0.01)
    collapsed = 60 * torch.nn.functional.one_hot(torch.zeros(n, dtype=torch.int64), num_classes).float()
    score = streamed(collapsed, torch.arange(n)).compute()
    assert (score["is"].item(), score["is_std"].item()) == pytest.approx((1, 0), abs=1e-12)
    unsure = torch.zeros(n, num_classes)
    score = streamed(unsure, torch.arange(n)).compute()
    assert (score["is"].item(), score["is_std"].item()) == pytest.approx((1, 0), abs=1e-12)


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
    expected = score["is_std"].item() * math.sqrt(10 / 9) / math.sqrt(10)
    assert score["is_se"].item() == pytest.approx(expected)


def test_what_is_no_score_is_refused() -> None:
    logits = logits_of(40)
    with pytest.raises(ValueError, match="39 samples were added, 40 expected"):
        streamed(logits, torch.arange(39)).compute()
    logits[3, 2] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        streamed(logits, torch.arange(40)).compute()
    with pytest.raises(UserError, match="10 splits need 10 samples"):
        InceptionScore(2, num_classes=5, num_samples=9)
    with pytest.raises(UserError, match="needs a feature space with a classifier"):
        InceptionScore(2, num_classes=0, num_samples=50)
