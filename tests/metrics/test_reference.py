"""Reference statistics on disk: found again for the same images and net, and for nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_gen.metrics.reference import reference_summaries
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace
from lit_gen.metrics.statistics.frechet import FrechetDistance, Moments


class Counting(FeatureSpace):
    """Row means; counts the batches it is asked for."""

    name = "counting"
    internal_batch = 16

    def __init__(self, sha256: str = "a") -> None:
        super().__init__()
        self.num_features = self.num_classes = 4
        self.sha256 = sha256
        self.scale = torch.nn.Parameter(torch.ones(()), requires_grad=False)
        self.calls = 0

    def extract(self, x: Tensor) -> Features:
        self.calls += 1
        rows = self.scale * x.float().mean(dim=(1, 3))
        return Features(rows, rows)


def moments(x: Tensor, space: FeatureSpace, key: str, folder: Path, **options: Any) -> Moments:
    """The reference of the Frechet distance."""
    (summary,) = reference_summaries(x, space, [FrechetDistance], key, folder, **options)
    assert summary is not None
    return Moments(**summary)


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (70, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_computed_once_and_read_back_exactly(images: Tensor, tmp_path: Path) -> None:
    extractor = Counting()
    first = moments(images, extractor, "train", tmp_path / "new" / "folder")
    calls = extractor.calls
    second = moments(images, extractor, "train", tmp_path / "new" / "folder")
    assert extractor.calls == calls > 0
    assert torch.equal(first.outer, second.outer)
    assert torch.equal(first.total, second.total)
    assert first.count == second.count == 70
    expected = Moments.of(extractor(images).features)
    torch.testing.assert_close(first.outer, expected.outer, rtol=1e-12, atol=0)
    assert [path.suffix for path in (tmp_path / "new" / "folder").iterdir()] == [".pt"]


def test_any_change_is_another_file(images: Tensor, tmp_path: Path) -> None:
    one_level = images.clone()
    one_level[69, 0, 3, 3] ^= 1
    shaped = images.reshape(70, 1, 2, 8).expand(-1, 3, -1, -1)[:, :, :, :4].repeat(1, 1, 2, 1)
    variants = [
        (images, Counting(), "train"),
        (images, Counting(), "test"),
        (images, Counting(sha256="b"), "train"),
        (one_level, Counting(), "train"),
        (images[:69], Counting(), "train"),
        (shaped, Counting(), "train"),
    ]
    for number, (x, extractor, key) in enumerate(variants, start=1):
        moments(x, extractor, key, tmp_path)
        assert extractor.calls > 0
        assert len(list(tmp_path.iterdir())) == number


def test_ranks_share_the_work_and_agree_on_the_cache(images: Tensor, tmp_path: Path) -> None:
    """Two ranks in turn: the first run notes what rank 1 would send, the second gives it to rank 0."""
    whole = moments(images, Counting(), "train", tmp_path / "whole")
    sent: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        sent.append(tensor.clone())
        return tensor + 0 if len(sent) == 1 else tensor

    moments(
        images, Counting(), "train", tmp_path / "one", rank=1, world_size=2, all_reduce=note, block=20
    )
    received = iter(sent)
    extractor = Counting()
    together = moments(
        images,
        extractor,
        "train",
        tmp_path / "zero",
        rank=0,
        world_size=2,
        all_reduce=lambda tensor: tensor + next(received),
        block=20,
    )
    assert extractor.calls == 2 * 2  # two blocks of 20, each of them two internal batches of 16
    assert together.count == 70
    torch.testing.assert_close(together.outer, whole.outer, rtol=1e-12, atol=0)


def test_a_cache_that_one_rank_lacks_is_not_used(images: Tensor, tmp_path: Path) -> None:
    moments(images, Counting(), "train", tmp_path)
    extractor = Counting()
    moments(images, extractor, "train", tmp_path, world_size=2, all_reduce=lambda tensor: tensor)
    assert extractor.calls > 0


def test_bad_statistics_are_neither_returned_nor_kept(images: Tensor, tmp_path: Path) -> None:
    extractor = Counting()
    extractor.scale.fill_(float("inf"))
    with pytest.raises(ValueError, match=r"70 images of train .*not finite"):
        moments(images, extractor, "train", tmp_path)
    with pytest.raises(ValueError, match="1 images of train"):
        moments(images[:1], Counting(), "train", tmp_path)
    with pytest.raises(ValueError, match="2 ranks need an all_reduce"):
        moments(images, Counting(), "train", tmp_path, world_size=2)
    assert list(tmp_path.iterdir()) == []
