"""Sampling during training: what it scores, when, under which name, and that it leaves no trace."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from callbacks.toys import SHAPE, Counter, Ramp, train
from lit_gen.callbacks import SampleGrid, SampleQuality
from lit_gen.data import Split
from lit_gen.errors import UserError
from lit_gen.media.grids import image_grid, write_grid
from lit_gen.metrics import MnistCNN


class _Logged(L.Callback):
    """The metrics that each validation has logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.callback_metrics.clear()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.rows.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize(("count", "name"), [(20, "20"), (1000, "1k"), (1500, "1500")])
def test_the_count_is_in_the_name(count: int, name: str) -> None:
    names = SampleQuality(MnistCNN(), num_samples=count).score_names
    assert names == [f"val/fd_mnist_cnn_{name}", f"val/is_mnist_cnn_{name}"]


def test_scores_at_the_stated_cadence(tmp_path: Path) -> None:
    logged, name = _Logged(), "val/fd_mnist_cnn_20"
    quality = SampleQuality(MnistCNN(), num_samples=20, every=2)
    train(Counter(), quality, logged, max_epochs=4, default_root_dir=tmp_path)
    assert [name in row for row in logged.rows] == [True, False, True, False]
    assert quality.state_dict() == {"validations": 4}
    resumed = SampleQuality(MnistCNN(), num_samples=20, every=2)
    resumed.load_state_dict({"validations": 1})
    logged.rows.clear()
    train(Counter(), resumed, logged, max_epochs=2, default_root_dir=tmp_path)
    assert [name in row for row in logged.rows] == [False, True]


class _NoTest(Ramp):
    def split(self, name: Any) -> Split:
        assert name != "test", "the test split is for scoring alone"
        return super().split(name)


class _Copies(Counter):
    """Samples number i is validation image i mod 5: the perfect copier of the validation split."""

    def generate(self, noise: Any, label: Any = None) -> torch.Tensor:
        images = Ramp().read()["val"].x
        return images[torch.arange(self.first, self.first + len(noise)) % 5]

    first = 0


def test_compares_with_the_validation_split_and_never_with_the_test_split(tmp_path: Path) -> None:
    logged = _Logged()
    train(_Copies(), SampleQuality(MnistCNN(), num_samples=20), logged, data=_NoTest(), default_root_dir=tmp_path)
    copier = logged.rows[-1]["val/fd_mnist_cnn_20"]
    train(Counter(), SampleQuality(MnistCNN(), num_samples=20), logged, data=_NoTest(), default_root_dir=tmp_path)
    assert copier < 0.05 * logged.rows[-1]["val/fd_mnist_cnn_20"]


class _RandomState(L.Callback):
    """The state of every global generator, at the start and at the end of a validation."""

    def __init__(self) -> None:
        self.states: list[Any] = []

    def _note(self) -> None:
        legacy = np.random.get_state()  # noqa: NPY002  (the global generator is what is watched)
        self.states.append((torch.get_rng_state().tolist(), str(legacy), legacy[1].tolist(), random.getstate()))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._note()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._note()


@pytest.mark.parametrize("family", ["VAE", "GAN"])
def test_no_global_generator_is_moved(family: str, tmp_path: Path) -> None:
    import lit_gen.families

    model = getattr(lit_gen.families, family)((1, 4, 4), 4)
    states = _RandomState()
    quality, grid = SampleQuality(MnistCNN(), num_samples=20), SampleGrid(num_samples=4)

    class Squares(Ramp):
        def read(self) -> dict[str, Split]:  # type: ignore[override]
            x = torch.arange(12 * 16).view(12, 1, 4, 4).remainder(4).byte()
            return {name: Split(x) for name in ("train", "val", "test")}

    data = Squares()
    data.shape = (1, 4, 4)
    train(model, states, quality, grid, data=data, max_epochs=1, default_root_dir=tmp_path)
    assert len(states.states) == 2
    assert states.states[0] == states.states[1]


@pytest.mark.parametrize(("count", "every"), [(19, 1), (20, 0)])
def test_too_few_samples_or_no_cadence_is_refused(count: int, every: int) -> None:
    with pytest.raises(UserError, match="at least"):
        SampleQuality(None, num_samples=count, every=every)


class _Autocast(Counter):
    """Notes under which type its samples are drawn."""

    drawn: torch.dtype | None = None

    def generate(self, noise: Any, label: Any = None) -> torch.Tensor:
        self.drawn = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        return super().generate(noise)


@pytest.mark.parametrize(("precision", "drawn"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_samples_are_drawn_under_the_trainers_precision(precision: str, drawn: torch.dtype, tmp_path: Path) -> None:
    model = _Autocast()
    quality = SampleQuality(MnistCNN(), num_samples=20)
    train(model, quality, max_epochs=1, precision=precision, default_root_dir=tmp_path)
    assert model.drawn == drawn
    assert not torch.is_autocast_enabled("cpu")


# ------------------------------------------------------------------ the grid


def test_grid_shows_every_image_once_in_order(tmp_path: Path) -> None:
    """Image i is a constant i; each stands whole inside its border."""
    x = torch.arange(7, dtype=torch.uint8).view(7, 1, 1, 1).expand(7, 1, 2, 3) * 10
    grid = image_grid(x, border=1)
    assert grid.shape == (3 * 3 + 1, 3 * 4 + 1, 1)
    for i in range(7):
        top, left = 1 + (i // 3) * 3, 1 + (i % 3) * 4
        assert (grid[top : top + 2, left : left + 3] == 10 * i).all()
        assert (grid[top - 1, left : left + 3] == 128).all()
    path = write_grid(x, tmp_path / "samples" / "grid.png", least_pixels=34)
    pixels = np.asarray(Image.open(path))
    assert pixels.shape == (28, 34), "each pixel twice as wide"
    assert (pixels[::2, ::2] == image_grid(x)[..., 0].numpy()).all()


def test_grid_is_named_by_examples_seen_and_spreads_the_levels(tmp_path: Path) -> None:
    """Four levels become 0, 85, 170, 255; the counter's samples after three steps are all level 3."""
    from lit_gen.callbacks import Budget

    train(Counter(), Budget(1000), SampleGrid(num_samples=1), max_epochs=1, default_root_dir=tmp_path)
    (file,) = (tmp_path / "samples").iterdir()
    assert file.name == "0000000012.png"
    pixels = np.asarray(Image.open(file))
    assert set(np.unique(pixels)) == {128, 255}
    assert pixels.shape[0] == pixels.shape[1] >= 450
    assert SHAPE[0] == 1


def test_no_grid_of_what_is_no_image(tmp_path: Path) -> None:
    model = Counter()
    model.shape = (4,)
    train(model, SampleGrid(num_samples=1), max_epochs=1, default_root_dir=tmp_path)
    assert not (tmp_path / "samples").exists()
