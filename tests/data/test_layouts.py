"""Folders as people have them: the splits, classes and files that are found, in one line, or a reason in one line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_gen.data import FolderImages, RandomHeldOut, Transform
from lit_gen.data.folder_files import EXTENSIONS
from lit_gen.errors import UserError


def fill(top: Path, files: Iterable[str]) -> Path:
    """Writes a different 2x2 image to each path; its first pixels are the number of the file."""
    for i, name in enumerate(files):
        file = top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix.lower() in EXTENSIONS:
            pixels = np.array([[i // 256, i % 256], [3, 4]], np.uint8)
            Image.fromarray(pixels).save(file, {".apng": "PNG"}.get(file.suffix))
        else:
            file.write_text("words")
    return top


def mine(top: Path, num_val: float = 1, num_test: float = 1, **options) -> FolderImages:
    return FolderImages(str(top), "mine", Transform(2, 1), RandomHeldOut(num_val, num_test), **options)


def numbers(data: FolderImages, split: str) -> list[int]:
    return [int(x[0, 0, 0]) * 256 + int(x[0, 0, 1]) for x in data.split(split).x]


def several(*folders: str, n: int = 3) -> list[str]:
    return [f"{folder}/{i}.png" for folder in folders for i in range(n)]


# name: (files, line)
USED: dict[str, tuple[list[str], str]] = {
    "no sub-folders": (several(".", n=5), "train 3, val 1 carved, test 1 carved; no classes"),
    "training and testing with classes": (
        [*several("training/cat", "training/dog", "testing/cat", "testing/dog"), "training/a.txt", "testing/b.csv"],
        "train 5 in training/, val 1 carved, test 6 in testing/; 2 classes: cat, dog; left out: 2 files (not images)",
    ),
    "capitals": (several("Train", "Test"), "train 2 in Train/, val 1 carved, test 3 in Test/; no classes"),
    "dev and eval": (
        several("train", "dev", "eval"),
        "train 3 in train/, val 3 in dev/, test 3 in eval/; no classes",
    ),
    "one level too high": (
        [*several("pets/train/cat", "pets/test/cat"), "pets.zip"],
        "train 2 in pets/train/, val 1 carved, test 3 in pets/test/; 1 class: cat",
    ),
    "classes one level too high": (
        several("pets/cat", "pets/dog"),
        "train 4 in pets/, val 1 carved, test 1 carved; 2 classes: cat, dog",
    ),
    "a stray image beside classes": (
        [*several("cat", "dog"), "cover.png"],
        "train 4, val 1 carved, test 1 carved; 2 classes: cat, dog; left out: 1 image (beside the class folders)",
    ),
    "photographs of a tree": (
        [*several("2020", "2021"), *several(".", n=4)],
        "train 8, val 1 carved, test 1 carved; no classes",
    ),
    "train with classes, test without": (
        several("train/cat", "train/dog", "test"),
        "train 5 in train/, val 1 carved, test 3 in test/; 2 classes: cat, dog",
    ),
    "folders beside the splits": (
        several("train", "test", "extra"),
        "train 2 in train/, val 1 carved, test 3 in test/; no classes; left out: 3 images (beside the split folders)",
    ),
    "natural order": (
        several("10", "9", "2"),
        "train 7, val 1 carved, test 1 carved; 3 classes: 2, 9, 10",
    ),
    "system folders and hidden files": (
        [*several(".", n=4), "@eaDir/t.png", "#recycle/t.png", ".thumbs/t.png", "._0.png", ".DS_Store"],
        "train 2, val 1 carved, test 1 carved; no classes; left out: 1 file (hidden), 1 folder (#recycle), "
        "1 folder (@eaDir), 1 folder (hidden)",
    ),
    "endings that Pillow does not decode": (
        [*several(".", n=4), "a.heic", "b.heic"],
        "train 2, val 1 carved, test 1 carved; no classes; left out: 2 files (.heic, which Pillow does not decode)",
    ),
    "other endings": (
        ["a.jfif", "b.tga", "c.jp2", "d.apng", "e.JPE"],
        "train 3, val 1 carved, test 1 carved; no classes",
    ),
}


@pytest.mark.parametrize("name", USED)
def test_a_folder_is_used_as_meant_and_described_in_one_line(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    files, line = USED[name]
    with caplog.at_level(logging.INFO):
        mine(fill(tmp_path / "mine", files)).setup()
    assert caplog.messages == [f"data 'mine': {line}"]


REJECTED: dict[str, tuple[list[str], str]] = {
    "two validation folders": (
        several("train", "val", "valid"),
        "has two val folders, 'val' and 'valid'; join or rename them",
    ),
    "the same split twice": (
        several("Train", "train"),
        "has two train folders, 'Train' and 'train'; join or rename them",
    ),
    "test without train": (
        several("test", "images"),
        "has a folder 'test' but no training folder: name that 'train'; if 'test' is a class, rename it",
    ),
    "splits inside of classes": (
        several("cat/train", "cat/test", "dog/train", "dog/test"),
        "one of 2 sub-folders: set path to it, or move them to the top (train/cat instead of cat/train)",
    ),
    "nothing but a broken layout": (["train/a.txt", "test/b.png"], "no image in"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_an_ambiguous_folder_is_rejected_in_one_line(name: str, tmp_path: Path, own_cache: Path):
    files, message = REJECTED[name]
    with pytest.raises(UserError, match=re.escape(message)) as error:
        mine(fill(tmp_path / "mine", files)).setup()
    assert "\n" not in str(error.value)
    assert not own_cache.exists()


def test_labels_follow_the_natural_order_and_the_pixels_their_splits(tmp_path: Path):
    files = several("train/10", "train/2", "test/2", "test/10", n=2)
    data = mine(fill(tmp_path / "mine", files))
    assert data.class_names == ()  # not known before the folder is read
    assert numbers(data, "test") == [6, 7, 4, 5]
    assert data.split("test").label.tolist() == [1, 1, 0, 0]
    assert sorted(numbers(data, "train") + numbers(data, "val")) == [0, 1, 2, 3]
    assert data.class_names == ("2", "10")


def test_stray_image_costs_no_labels(tmp_path: Path):
    data = mine(fill(tmp_path / "mine", [*several("cat", "dog"), "cover.png"]))
    label = {number: int(k) for number, k in zip(numbers(data, "train"), data.split("train").label, strict=True)}
    assert all(k == number // 3 for number, k in label.items())
    assert 6 not in numbers(data, "train") + numbers(data, "val") + numbers(data, "test")


def test_links_and_names_that_are_not_utf8(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    top = fill(tmp_path / "mine", several(".", n=4))
    os.rename(top / "0.png", os.fsencode(top) + b"/caf\xe9.png")
    (top / "gone.png").symlink_to(top / "nowhere.png")
    (top / "self.png").symlink_to(top / "self.png")
    (top / "deep").mkdir()
    (top / "deep" / "loop").symlink_to(top)
    fill(tmp_path / "elsewhere", several(".", n=6))
    (top / "more.png").symlink_to(tmp_path / "elsewhere" / "5.png")
    with caplog.at_level(logging.INFO):
        data = mine(top)
        data.setup()
    assert sorted(numbers(data, "train") + numbers(data, "val") + numbers(data, "test")) == [0, 1, 2, 3, 5]
    assert caplog.messages == [
        "data 'mine': train 3, val 1 carved, test 1 carved; no classes; left out: 1 link (in a circle), "
        "1 link (to a file that does not exist), 1 link (to a folder that contains it)"
    ]


def test_name_that_is_not_utf8_can_be_printed(tmp_path: Path):
    top = fill(tmp_path / "mine", several(".", n=4))
    with open(os.fsencode(top) + b"/caf\xe9.png", "wb") as file:
        file.write(b"words")
    with pytest.raises(UserError, match="caf\ufffd\\.png \\(not an image that Pillow can read\\)"):
        mine(top).setup()


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Takes the permission to list a folder away; the tests may run as root, whom no permission stops."""

    def lock(folder: Path) -> None:
        scandir = os.scandir

        def guarded(path):
            if Path(path) == folder:
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", guarded)

    return lock


def test_folder_without_permission_is_counted(
    tmp_path: Path, locked: Callable[[Path], None], caplog: pytest.LogCaptureFixture
):
    top = fill(tmp_path / "mine", several(".", "secret", n=4))
    locked(top / "secret")
    with caplog.at_level(logging.INFO):
        mine(top).setup()
    assert caplog.messages[0].endswith("test 1 carved; no classes; left out: 1 folder (no permission)")
    locked(top)
    with pytest.raises(UserError, match=r"cannot read the folder '.*mine': permission denied; change its permissions"):
        mine(top).setup()


# ------------------------------------------------------------------ carving


def test_added_images_never_move_from_train_to_test(tmp_path: Path):
    top = tmp_path / "mine"
    fill(top, (f"{i:03d}.png" for i in range(100)))
    before = mine(top, 0.1, 0.1)
    trained, tested = set(numbers(before, "train")), set(numbers(before, "test"))
    assert 65 <= len(trained) <= 93
    assert 2 <= len(tested) <= 19
    for n in (101, 110, 150, 400):
        fill(top, (f"{i:03d}.png" for i in range(n)))
        data = mine(top, 0.1, 0.1)
        assert not (set(numbers(data, "test")) | set(numbers(data, "val"))) & trained


def test_names_sizes_and_times_do_not_carve(tmp_path: Path):
    one = fill(tmp_path / "one", (f"{i}.png" for i in range(20)))
    data = mine(one, 4, 5)
    expected = {name: set(numbers(data, name)) for name in ("train", "val", "test")}
    for i in range(20):
        (one / f"{i}.png").rename(one / f"a{7 * i % 20}.png")
    assert {name: set(numbers(mine(one, 4, 5), name)) for name in expected} == expected
    assert [len(expected[name]) for name in expected] == [11, 4, 5]
    larger = FolderImages(str(one), "mine", Transform(4, 1, resize="nearest"), RandomHeldOut(4, 5))
    assert {int(x[0, 0, 2]) for x in larger.split("test").x} == expected["test"]


def test_copies_across_given_splits_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    top = fill(tmp_path / "mine", several("train", "test", n=5))
    for i in range(2):
        (top / "test" / f"copy{i}.png").write_bytes((top / "train" / f"{i}.png").read_bytes())
    with caplog.at_level(logging.INFO):
        data = mine(top)
        data.setup()
    assert data.copies == 2
    assert caplog.messages[1] == "data 'mine': 2 validation or test files are copies of training files"


def test_every_ending_is_one_that_pillow_reads():
    Image.init()
    known = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert known >= EXTENSIONS
