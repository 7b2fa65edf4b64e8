"""Samples of other programs are read as they are, or rejected in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_gen.entries.foreign_samples import sample_file
from lit_gen.errors import UserError

RNG = np.random.default_rng(0)
SHAPE = (3, 4, 5)
X = RNG.integers(0, 256, (7, *SHAPE), dtype=np.uint8)


def read(
    path: Path, shape: tuple[int, ...] = SHAPE, levels: int = 256, span: tuple[float, float] | None = None
) -> np.ndarray:
    found = sample_file(path, shape, levels, span)
    return found.rows(range(len(found)))


@pytest.mark.parametrize("layout", ["chw", "hwc"])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays_of_either_layout_are_the_same_samples(tmp_path: Path, layout: str, suffix: str) -> None:
    x = X if layout == "chw" else X.transpose(0, 2, 3, 1)
    path = tmp_path / f"x.{suffix}"
    np.save(path, x) if suffix == "npy" else np.savez(path, arr_0=x, arr_1=np.arange(7))
    assert np.array_equal(read(path), X)


def test_grey_arrays_may_lack_the_channel(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X[:, 0])
    assert np.array_equal(read(tmp_path / "x.npy", (1, 4, 5)), X[:, :1])


@pytest.mark.parametrize(("span", "levels"), [((-1.0, 1.0), 256), ((0.0, 1.0), 256), ((-1.0, 1.0), 17)])
def test_floats_with_a_range_become_the_integers_they_stand_for(
    tmp_path: Path, span: tuple[float, float], levels: int
) -> None:
    x = RNG.integers(0, levels, (7, *SHAPE), dtype=np.uint8)
    low, high = span
    np.save(tmp_path / "x.npy", (low + (high - low) * x / (levels - 1)).astype(np.float32))
    assert np.array_equal(read(tmp_path / "x.npy", levels=levels, span=span), x)


def test_values_outside_the_range_are_counted(tmp_path: Path) -> None:
    x = np.zeros((2, *SHAPE), dtype=np.float32)
    x[0, 0, 0, :3] = (-1.5, 1.2, 1.0)
    np.save(tmp_path / "x.npy", x)
    found = sample_file(tmp_path / "x.npy", SHAPE, 256, (-1.0, 1.0))
    assert found.counted == (2, x.size)  # type: ignore[attr-defined]
    assert found.rows([0])[0, 0, 0, :3].tolist() == [0, 255, 255]


def test_images_of_a_folder_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for i, x in enumerate(X):
        Image.fromarray(x.transpose(1, 2, 0)).save(tmp_path / f"sample-{i + 8}.png")  # 8 before 10
    assert np.array_equal(read(tmp_path), X)


def test_grey_images_may_be_saved_in_colour_and_with_256_values(tmp_path: Path) -> None:
    x = RNG.integers(0, 17, (1, 4, 5), dtype=np.uint8)
    grey = np.rint(x[0] / 16 * 255).astype(np.uint8)
    Image.fromarray(np.stack([grey] * 3, -1)).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path, (1, 4, 5), levels=17)[0], x)


def test_lossy_images_are_noted(tmp_path: Path) -> None:
    Image.fromarray(X[0].transpose(1, 2, 0)).save(tmp_path / "a.jpg")
    assert "JPEG" in sample_file(tmp_path, SHAPE, 256, None).note


def saved(folder: Path, what: str) -> Path:
    path = folder / "x.npy"
    image = Image.fromarray(X[0].transpose(1, 2, 0))
    match what:
        case "floats":
            np.save(path, X.astype(np.float32))
        case "values":
            np.save(path, X.astype(np.int64) + 1)
        case "negative":
            np.save(path, X.astype(np.int64) - 1)
        case "nan":
            np.save(path, np.full((2, *SHAPE), np.nan))
        case "size":
            np.save(path, X[..., :4])
        case "scalar":
            np.save(path, np.array(3))
        case "objects":
            np.save(path, np.array([{}], dtype=object), allow_pickle=True)
        case "text":
            path.write_text("no array")
        case "names":
            np.savez(path := folder / "x.npz", a=X, b=X)
        case "empty":
            (path := folder / "images").mkdir()
        case "alpha":
            image.convert("RGBA").save((path := folder) / "a.png")
        case "16 bit":
            Image.fromarray(np.zeros((4, 5), np.uint16)).save((path := folder) / "a.png")
        case "other size":
            image.resize((5, 5)).save((path := folder) / "a.png")
        case "broken":
            (folder / "a.png").write_bytes(b"\x89PNG")
            path = folder
        case "suffix":
            (path := folder / "x.pt").write_bytes(b"")
        case "missing":
            path = folder / "nowhere"
    return path


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("floats", "--range -1 1"), ("values", "value 256"), ("negative", "value -1"), ("nan", "NaN"),
        ("size", "not resized"), ("scalar", "shape ()"), ("objects", "Python objects"), ("text", "x.npy"),
        ("names", "arrays a, b"), ("empty", "no images"), ("alpha", "alpha"), ("16 bit", "8 bits"),
        ("other size", "5x5 pixels"), ("broken", "not an image"), ("suffix", ".npy or .npz"),
        ("missing", "does not exist"),
    ],
)
def test_what_does_not_fit_is_rejected(tmp_path: Path, what: str, says: str) -> None:
    path = saved(tmp_path, what)
    with pytest.raises(UserError) as caught:
        sample_file(path, SHAPE, 256, (-1.0, 1.0) if what == "nan" else None)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "weights_only=False" not in str(caught.value)


def test_colour_is_no_grey(tmp_path: Path) -> None:
    Image.fromarray(X[0].transpose(1, 2, 0)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="in colour"):
        read(tmp_path, (1, 4, 5))
