"""What every extractor owes: the same features whatever the batch, the precision and the mode."""

from __future__ import annotations

import hashlib
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lit_gen.metrics.spaces.feature_space import REPEATABLE, Features, FeatureSpace, full_float32, sha256_of_file
from lit_gen.metrics.spaces.mnist_cnn import MnistCNN


class BatchNormed(FeatureSpace):
    """A net that would show its batch if it were ever in train mode."""

    name = "batch_normed"
    internal_batch = 4

    def __init__(self) -> None:
        super().__init__()
        self.num_features = self.num_classes = 3
        self.sha256 = "none"
        self.norm = torch.nn.BatchNorm1d(3)
        self.batches: list[Tensor] = []

    def extract(self, x: Tensor) -> Features:
        self.batches.append(x)
        means = self.norm(x.float().mean(dim=(2, 3)).expand(-1, 3))
        return Features(means, -means)


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return torch.randint(
        0, 256, (130, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_the_net_always_gets_its_own_batch_size_and_the_caller_what_was_asked_for() -> None:
    extractor = BatchNormed()
    x = torch.arange(1, 11, dtype=torch.uint8)[:, None, None, None].expand(10, 1, 2, 2)
    out = extractor(x)
    assert [len(batch) for batch in extractor.batches] == [4, 4, 4]
    assert extractor.batches[2][2:].max() == 0
    torch.testing.assert_close(out.features[:, 0], torch.arange(1, 11) / (1 + 1e-5) ** 0.5)
    assert torch.equal(out.logits, -out.features)


def test_train_mode_cannot_be_entered() -> None:
    extractor = BatchNormed()
    torch.nn.ModuleList([extractor]).train()
    assert not any(module.training for module in extractor.modules())
    extractor.norm.train()  # behind its back
    statistics = extractor.norm.get_buffer("running_mean").clone()
    extractor(torch.full((4, 1, 2, 2), 200, dtype=torch.uint8))
    assert torch.equal(extractor.norm.get_buffer("running_mean"), statistics)


@pytest.mark.parametrize("batch", [1, 3, 125, 130])
def test_features_do_not_depend_on_the_callers_batch(digits: Tensor, batch: int) -> None:
    extractor = MnistCNN()
    whole = extractor(digits)
    parts = [extractor(part) for part in digits[:6].split(min(batch, 6))]
    assert torch.equal(torch.cat([p.features for p in parts]), whole.features[:6])
    tail = extractor(digits[-batch:])
    torch.testing.assert_close(tail.features, whole.features[-batch:], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(tail.logits, whole.logits[-batch:], rtol=1e-5, atol=1e-5)


def test_features_are_float32_without_gradients_and_repeatable(digits: Tensor) -> None:
    extractor = MnistCNN()
    first = extractor(digits)
    assert first.features.dtype == first.logits.dtype == torch.float32
    assert not first.features.requires_grad
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    assert all(torch.equal(a, b) for a, b in zip(first, extractor(digits), strict=True))


def test_the_trainings_precision_stays_outside(digits: Tensor) -> None:
    extractor = MnistCNN()
    plain = extractor(digits).features
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = extractor(digits).features
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(mixed, plain)


def test_full_float32_holds_inside_and_gives_everything_back_even_after_an_error() -> None:
    def state() -> list[object]:
        return [getattr(attrgetter(place)(torch.backends), switch) for place, switch, _ in REPEATABLE]

    torch.set_float32_matmul_precision("high")
    before = state()
    try:
        with full_float32():
            assert state() == ["ieee"] * 4 + [False, True] != before
            assert torch.get_float32_matmul_precision() == "highest"
            # The old switch raises where it disagrees with the new one.
            assert not torch.backends.cuda.matmul.allow_tf32
        assert state() == before
        with pytest.raises(KeyError), full_float32():
            raise KeyError
        assert state() == before
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_neither_building_nor_using_one_moves_the_generator(digits: Tensor) -> None:
    before = torch.get_rng_state()
    MnistCNN()(digits[:2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 1, 8, 8),
        torch.zeros(2, 2, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 8, 8, dtype=torch.uint8),
        torch.zeros(0, 1, 8, 8, dtype=torch.uint8),
    ],
)
def test_other_inputs_are_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"mnist_cnn takes uint8 \[B, C, H, W\]"):
        MnistCNN()(x)


def test_the_checksum_is_that_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"abc" * 1000)
    assert sha256_of_file(file) == hashlib.sha256(b"abc" * 1000).hexdigest()
