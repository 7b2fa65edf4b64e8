"""Scoring a sampler: the same answer whatever the ranks and the blocks, and nothing disturbed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.quality import SampleScore, score_samples
from lit_gen.metrics.reference import Summary
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace
from lit_gen.metrics.spaces.mnist_cnn import MnistCNN
from lit_gen.metrics.spaces.train_mnist_cnn import sklearn_digits
from lit_gen.metrics.statistics.frechet import FrechetDistance, Moments, frechet_distance
from lit_gen.metrics.statistics.inception_score import InceptionScore


class RowMeans(FeatureSpace):
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


BOTH = [FrechetDistance, InceptionScore]


@pytest.fixture(scope="module")
def reference() -> list[Summary | None]:
    return [vars(Moments.of(RowMeans()(sample(10_000, 300)).features)), None]


def numbers(scores: object) -> dict[str, tuple[float, float]]:
    """Values and standard errors by name."""
    assert isinstance(scores, list), scores
    assert all(isinstance(score, SampleScore) for score in scores)
    return {score.name: (score.value, score.standard_error) for score in scores}


def assert_close(found: object, expected: object, rel: float = 1e-9) -> None:
    found, expected = numbers(found), numbers(expected)
    assert found.keys() == expected.keys()
    for name, pair in expected.items():
        assert found[name] == pytest.approx(pair, rel=rel)


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


def test_the_scores_are_those_of_the_features_held_at_once(reference: list[Summary | None]) -> None:
    features, logits = RowMeans()(sample(0, 103))
    fd, inception_score = score_samples(sample, RowMeans(), BOTH, reference, 103, block=10)
    assert fd.num_samples == inception_score.num_samples == 103
    assert reference[0] is not None
    assert fd.value == pytest.approx(frechet_distance(Moments.of(features), Moments(**reference[0])), rel=1e-9)
    statistic = InceptionScore(6, num_classes=6, num_samples=103)
    statistic.update(logits, torch.arange(103))
    expected = statistic.compute()
    assert inception_score.value == pytest.approx(expected["is"].item(), rel=1e-9)
    assert inception_score.standard_error == pytest.approx(expected["is_se"].item(), rel=1e-9)


def test_a_score_says_how_it_is_printed_and_under_which_protocol(reference: list[Summary | None]) -> None:
    fd, inception_score = score_samples(sample, RowMeans(), BOTH, reference, 40)
    assert (fd.name, fd.label, fd.unit, fd.higher_is_better, fd.decimals) == ("fd_moments", "FD-moments", "", False, 2)
    assert (inception_score.name, inception_score.label) == ("is_moments", "IS-moments")
    assert inception_score.higher_is_better
    assert (fd.protocol, inception_score.protocol) == ({}, {"is_splits": 10})


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")  # on a rank without samples
@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_any_number_of_ranks_gives_one_answer(reference: list[Summary | None], world_size: int) -> None:
    """Seven ranks and six blocks: one rank has nothing to do, and still takes part."""
    alone = score_samples(sample, RowMeans(), BOTH, reference, 58, block=10)
    asked: list[tuple[int, int]] = []

    def run(rank: int, all_reduce: Callable[[Tensor], Tensor]) -> object:
        def noted(first: int, n: int) -> Tensor:
            asked.append((first, n))
            return sample(first, n)

        return score_samples(
            noted, RowMeans(), BOTH, reference, 58, block=10, rank=rank, world_size=world_size, all_reduce=all_reduce
        )

    for scores in on_ranks(world_size, run):
        assert_close(scores, alone)
    assert sorted(asked) == [(0, 10), (10, 10), (20, 10), (30, 10), (40, 10), (50, 8)]


def test_the_block_changes_nothing(reference: list[Summary | None]) -> None:
    few = score_samples(sample, RowMeans(), BOTH, reference, 61, block=7)
    many = score_samples(sample, RowMeans(), BOTH, reference, 61, block=250)
    assert_close(few, many)


def test_broken_features_are_an_error_on_every_rank(reference: list[Summary | None]) -> None:
    """Means above 19 are made NaN; the rank that meets one must not leave the other waiting."""
    extractor = RowMeans(broken_above=19)
    bad = int((~extractor(sample(0, 40)).features.isfinite().all(1)).sum())
    assert 0 < bad < 40

    def run(rank: int, all_reduce: Callable[[Tensor], Tensor]) -> object:
        return score_samples(
            sample, extractor, BOTH, reference, 40, block=20, rank=rank, world_size=2, all_reduce=all_reduce
        )

    for error in on_ranks(2, run):
        assert isinstance(error, ValueError)
        assert f"{bad} of 40 samples have features that are not finite" in str(error)


def test_inside_inference_mode_as_lightning_validates(reference: list[Summary | None]) -> None:
    outside = score_samples(sample, RowMeans(), BOTH, reference, 40)
    with torch.inference_mode():
        assert score_samples(sample, RowMeans(), BOTH, reference, 40) == outside


def test_calls_that_cannot_be_right_are_refused(reference: list[Summary | None]) -> None:
    with pytest.raises(UserError, match=r"num_samples=19 is too few.*20 or more"):
        score_samples(sample, RowMeans(), BOTH, reference, 19)
    with pytest.raises(ValueError, match="2 ranks need an all_reduce"):
        score_samples(sample, RowMeans(), BOTH, reference, 40, world_size=2)
    with pytest.raises(ValueError, match="returned 4 samples where 40 were asked for"):
        score_samples(lambda first, n: sample(0, 4), RowMeans(), BOTH, reference, 40)


def test_scoring_is_repeatable_and_leaves_the_generator_alone() -> None:
    x, _ = sklearn_digits()
    before = torch.get_rng_state()
    extractor = MnistCNN()
    references = [vars(Moments.of(extractor(x[:500]).features)), None]
    fake = x[500:]
    first, second = (score_samples(lambda i, n: fake[i : i + n], extractor, BOTH, references, 300) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)
    assert first[1].value > 7  # ten classes, nearly balanced, nearly sure
