"""Scoring a sampler: the same answer whatever the ranks and the blocks, and nothing disturbed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.quality import SampleScores, score_samples
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace
from lit_gen.metrics.spaces.mnist_cnn import MnistCNN
from lit_gen.metrics.spaces.train_mnist_cnn import sklearn_digits
from lit_gen.metrics.statistics.frechet import FrechetSums, frechet_distance
from lit_gen.metrics.statistics.inception_score import InceptionScoreSums


class Moments(FeatureSpace):
    """Cheap features: the rows' means; one class for each."""

    name = "moments"
    internal_batch = 8

    def __init__(self, broken_above: float = 1e9) -> None:
        super().__init__()
        self.num_features = self.num_classes = 6
        self.sha256 = "none"
        self.place = torch.nn.Parameter(torch.zeros(()), requires_grad=False)  # something that is on a device
        self.broken_above = broken_above

    def extract(self, x: Tensor) -> Features:
        rows = x.float().mean(dim=(1, 3)) / 10
        rows = torch.where(rows > self.broken_above, torch.nan, rows)
        return Features(rows, rows * 3)


def image(index: int) -> Tensor:
    return torch.randint(0, 256, (1, 6, 6), generator=torch.Generator().manual_seed(index)).to(torch.uint8)


def sample(first: int, n: int) -> Tensor:
    return torch.stack([image(i) for i in range(first, first + n)])


@pytest.fixture(scope="module")
def reference() -> FrechetSums:
    return FrechetSums.of(Moments()(sample(10_000, 300)).features)


def on_ranks(world_size: int, run: Callable[[int, Callable[[Tensor], Tensor]], object]) -> list[object]:
    """Runs once for each rank, in threads, with an all-reduce that meets the others."""
    barrier = threading.Barrier(world_size, timeout=30)
    slots: list[Tensor] = [torch.empty(0)] * world_size
    results: list[object] = [None] * world_size

    def work(rank: int) -> None:
        def all_reduce(tensor: Tensor) -> Tensor:
            slots[rank] = tensor
            barrier.wait()
            total = torch.stack(slots).sum(0)
            barrier.wait()
            return total

        try:
            results[rank] = run(rank, all_reduce)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(world_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_scores_are_those_of_the_features_held_at_once(reference: FrechetSums) -> None:
    out = Moments()(sample(0, 103))
    scores = score_samples(sample, Moments(), reference, 103, block=10)
    assert scores.num_samples == 103
    assert scores.distance == pytest.approx(
        frechet_distance(FrechetSums.of(out.features), reference), rel=1e-9
    )
    sums = InceptionScoreSums.zeros(103, 6)
    sums.update(torch.arange(103), out.logits)
    score = sums.compute()
    assert scores.inception_score == pytest.approx(score.mean, rel=1e-9)
    assert scores.inception_score_std == pytest.approx(score.std, rel=1e-9)
    assert scores.inception_score_se == pytest.approx(score.standard_error, rel=1e-9)


@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_any_number_of_ranks_gives_one_answer(reference: FrechetSums, world_size: int) -> None:
    """Seven ranks and six blocks: one rank has nothing to do, and still takes part."""
    alone = dataclasses.asdict(score_samples(sample, Moments(), reference, 58, block=10))
    asked: list[tuple[int, int]] = []

    def run(rank: int, all_reduce: Callable[[Tensor], Tensor]) -> SampleScores:
        def noted(first: int, n: int) -> Tensor:
            asked.append((first, n))
            return sample(first, n)

        return score_samples(
            noted, Moments(), reference, 58, block=10, rank=rank, world_size=world_size, all_reduce=all_reduce
        )

    for scores in on_ranks(world_size, run):
        assert isinstance(scores, SampleScores), scores
        assert dataclasses.asdict(scores) == pytest.approx(alone, rel=1e-9)
    assert sorted(asked) == [(0, 10), (10, 10), (20, 10), (30, 10), (40, 10), (50, 8)]


def test_the_block_changes_nothing(reference: FrechetSums) -> None:
    few = dataclasses.asdict(score_samples(sample, Moments(), reference, 61, block=7))
    many = dataclasses.asdict(score_samples(sample, Moments(), reference, 61, block=250))
    assert few == pytest.approx(many, rel=1e-9)


def test_broken_features_are_an_error_on_every_rank(reference: FrechetSums) -> None:
    """Means above 19 are made NaN; the rank that meets one must not leave the other waiting."""
    extractor = Moments(broken_above=19)
    bad = int((~extractor(sample(0, 40)).features.isfinite().all(1)).sum())
    assert 0 < bad < 40

    def run(rank: int, all_reduce: Callable[[Tensor], Tensor]) -> SampleScores:
        return score_samples(
            sample, extractor, reference, 40, block=20, rank=rank, world_size=2, all_reduce=all_reduce
        )

    for error in on_ranks(2, run):
        assert isinstance(error, ValueError)
        assert f"{bad} of 40 samples have features that are not finite" in str(error)


def test_inside_inference_mode_as_lightning_validates(reference: FrechetSums) -> None:
    outside = score_samples(sample, Moments(), reference, 40)
    with torch.inference_mode():
        assert score_samples(sample, Moments(), reference, 40) == outside


def test_calls_that_cannot_be_right_are_refused(reference: FrechetSums) -> None:
    with pytest.raises(UserError, match=r"num_samples=19 is too few.*20 or more"):
        score_samples(sample, Moments(), reference, 19)
    with pytest.raises(ValueError, match="2 ranks need an all_reduce"):
        score_samples(sample, Moments(), reference, 40, world_size=2)
    with pytest.raises(ValueError, match="returned 4 samples where 40 were asked for"):
        score_samples(lambda first, n: sample(0, 4), Moments(), reference, 40)


def test_scoring_is_repeatable_and_leaves_the_generator_alone() -> None:
    x, _ = sklearn_digits()
    before = torch.get_rng_state()
    extractor = MnistCNN()
    real = FrechetSums.of(extractor(x[:500]).features)
    fake = x[500:]
    first, second = (score_samples(lambda i, n: fake[i : i + n], extractor, real, 300) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)
    assert first.inception_score > 7  # ten classes, nearly balanced, nearly sure
