"""FolderImages: a user's own files, their damage and their cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_gen.data import FolderImages, ImageLoader, RandomHeldOut
from lit_gen.data.content_splits import carve_by_content
from lit_gen.data.decode import Transform
from lit_gen.data.image_source import digest_of
from lit_gen.errors import UserError

Pictures = Callable[..., np.ndarray]
Save = Callable[[np.ndarray, Path], Path]


@pytest.fixture
def flat(tmp_path: Path, pictures: Pictures, save_png: Save) -> Path:
    """Twenty grey 6x6 images in one folder."""
    for i, pixels in enumerate(pictures(20)):
        save_png(pixels, tmp_path / "faces" / f"{i:02d}.png")
    return tmp_path / "faces"


def faces(path: Path, **options) -> FolderImages:
    """The images of a folder; options of the transform, the splits and the loader by their bare names."""
    given = {"size": 6, "channels": 1, "num_val": 4, "num_test": 5, **options}
    transform = Transform(**{key: given.pop(key) for key in ("size", "channels", "crop", "resize") if key in given})
    splits = RandomHeldOut(given.pop("num_val"), given.pop("num_test"), given.pop("split_seed", 0))
    loader = ImageLoader(**{key: given.pop(key) for key in ("seed", "max_memory_gb") if key in given})
    return FolderImages(str(path), "faces", transform, splits=splits, loader=loader, **given)


def test_every_file_is_in_one_split_unchanged(flat: Path, pictures: Pictures):
    data = faces(flat)
    splits = [data.split(name) for name in ("train", "val", "test")]
    assert [len(split.x) for split in splits] == [11, 4, 5]
    assert all(split.label is None for split in splits)
    together = sorted(row.numpy().tobytes() for split in splits for row in split.x)
    assert together == sorted(row.tobytes() for row in pictures(20))


def test_carve_is_fixed_and_moves_with_its_seed_alone(flat: Path):
    assert faces(flat).fingerprint("val") == faces(flat, seed=5, batch_size=3).fingerprint("val")
    assert faces(flat).fingerprint("val") != faces(flat, split_seed=1).fingerprint("val")


def test_carve_keeps_file_order_within_a_split(flat: Path, pictures: Pictures):
    digests = [digest_of(flat / f"{i:02d}.png", "") for i in range(20)]
    rows = carve_by_content(digests, {"val": 4, "test": 5}, 0, "faces")
    assert np.array_equal(faces(flat).split("train").x.numpy()[:, 0], pictures(20)[rows == 0][..., 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_val": 20}, r"has 20 training examples and 25 are held out; lower splits\.num_val"),
        ({"num_val": 0}, r"split 'val' of .* would be empty: splits\.num_val is 0"),
        ({"num_test": 0}, r"split 'test' of .* would be empty: splits\.num_test is 0"),
    ],
)
def test_impossible_carves_are_refused(flat: Path, options: dict, message: str):
    with pytest.raises(UserError, match=message):
        faces(flat, **options).setup()


def test_split_folders_and_class_folders(tmp_path: Path, pictures: Pictures, save_png: Save):
    images = iter(pictures(12))
    for part in ("train", "validation", "test"):
        for kind in ("cat", "dog"):
            for i in range(2):
                save_png(next(images), tmp_path / "pets" / part / kind / f"{i}.png")
    data = faces(tmp_path / "pets")
    for name, rows in (("train", slice(0, 4)), ("val", slice(4, 8)), ("test", slice(8, 12))):
        assert np.array_equal(data.split(name).x.numpy()[:, 0], pictures(12)[rows, ..., 0])
        assert data.split(name).label.tolist() == [0, 0, 1, 1]


def test_missing_split_folder_is_carved_from_train(tmp_path: Path, pictures: Pictures, save_png: Save):
    for i, pixels in enumerate(pictures(10)):
        save_png(pixels, tmp_path / "pets" / ("test" if i < 3 else "train") / f"{i}.png")
    data = faces(tmp_path / "pets", num_val=2)
    assert [len(data.split(name).x) for name in ("train", "val", "test")] == [5, 2, 3]
    assert np.array_equal(data.split("test").x.numpy()[:, 0], pictures(10)[:3, ..., 0])


def damage(folder: Path, numbers: range) -> None:
    for i in numbers:
        file = folder / f"{i:02d}.png"
        file.write_bytes(file.read_bytes()[:40])


def test_unreadable_files_are_listed_and_refused(flat: Path, own_cache: Path):
    damage(flat, range(3, 8))
    with pytest.raises(
        UserError,
        match=r"5 of 20 images of 'faces' cannot be read: 03\.png \(not an image that Pillow can read\), "
        r"04\.png \(.*\), 05\.png \(.*\), \.\.\.; .*skip_unreadable",
    ):
        faces(flat).setup()
    assert list(own_cache.iterdir()) == []  # nothing half-made is left


def test_unreadable_files_are_skipped_and_counted_on_request(flat: Path):
    whole = faces(flat).split("train").x
    damage(flat, range(3, 5))
    for _ in range(2):  # decoded, then from the cache
        data = faces(flat, skip_unreadable=True)
        data.setup()
        assert data.skipped == 2
        assert sum(len(data.split(name).x) for name in ("train", "val", "test")) == 18
    tested = {row.numpy().tobytes() for row in data.split("test").x}
    assert not tested & {row.numpy().tobytes() for row in whole}


def test_cache_is_reused_and_follows_the_files(flat: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path):
    first = [faces(flat).fingerprint(name) for name in ("train", "val", "test")]
    monkeypatch.setattr(Transform, "__call__", lambda *_: pytest.fail("decoded again"))
    assert faces(flat, seed=3).fingerprint("train") == first[0]
    assert len(list(own_cache.iterdir())) == 1
    monkeypatch.undo()
    monkeypatch.setenv("LIT_GEN_CACHE", str(own_cache))
    pixels = np.asarray(Image.open(flat / "00.png")).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(flat / "00.png")
    changed = faces(flat)
    assert [changed.fingerprint(n) == faces(flat).fingerprint(n) for n in ("train", "val", "test")] == [
        True
    ] * 3
    assert len(list(own_cache.iterdir())) == 2
    assert [changed.fingerprint(name) for name in ("train", "val", "test")] != first


def test_memory_map_gives_the_same_and_leaves_the_file_alone(flat: Path):
    loaded, mapped = faces(flat), faces(flat, max_memory_gb=0.0)
    assert torch.equal(loaded.split("train").x, mapped.split("train").x)
    assert loaded.fingerprint("train") == mapped.fingerprint("train")
    for one, other in zip(loaded.train_dataloader(), mapped.train_dataloader(), strict=True):
        assert torch.equal(one.x, other.x)
    mapped.split("train").x.zero_()
    assert torch.equal(loaded.split("train").x, faces(flat).split("train").x)


def test_damaged_cache_entry_is_named(flat: Path, own_cache: Path):
    faces(flat).setup()
    (entry,) = own_cache.iterdir()
    os.truncate(entry / "train.npy", 150)
    with pytest.raises(UserError, match=rf"'{entry}' is damaged .*delete that folder"):
        faces(flat).setup()


def test_cache_that_cannot_be_written_is_named(flat: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIT_GEN_CACHE", str(flat / "00.png"))
    with pytest.raises(UserError, match=r"cannot write the cache .*LIT_GEN_CACHE"):
        faces(flat).setup()


def test_missing_folder_names_the_nearest(flat: Path):
    with pytest.raises(UserError, match=r"no folder .*has no 'facs'; did you mean 'faces'"):
        faces(flat.parent / "facs").setup()


def test_folder_without_images_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no image in .*\.jpeg"):
        faces(tmp_path / "empty").setup()


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((6, 6), {"size": 8}, r"00\.png is 6x6, and transform\.size is 8 without a resize"),
        (
            (6, 9),
            {"resize": "box"},
            r"00\.png is 9x6: resizing it to a square would distort it; set transform\.crop to square",
        ),
        ((6, 6), {"crop": 7}, r"00\.png is 6x6, smaller than transform\.crop 7"),
    ],
)
def test_image_that_does_not_fit_is_named(
    tmp_path: Path, pictures: Pictures, save_png: Save, shape: tuple[int, int], options: dict, message: str
):
    for i, pixels in enumerate(pictures(4, *shape)):
        save_png(pixels, tmp_path / "odd" / f"{i:02d}.png")
    with pytest.raises(UserError, match=message):
        faces(tmp_path / "odd", num_val=1, num_test=1, **options).setup()


def test_sixteen_bit_images_are_refused(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    for name in "abcd":
        Image.fromarray(np.full((6, 6), ord(name), np.uint16)).save(tmp_path / "deep" / f"{name}.png")
    with pytest.raises(UserError, match=r"a\.png has mode I;16, not 8 bits"):
        faces(tmp_path / "deep", num_val=1, num_test=1).setup()


def test_crop_is_central_and_box_resize_is_the_mean():
    pixels = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)
    assert np.array_equal(Transform(4, 1, crop=4)(pixels, "here")[0], pixels[1:5, 2:6])
    assert np.array_equal(Transform(6, 1, crop="square")(pixels, "here")[0], pixels[:, 1:7])
    blocks = np.kron(np.array([[10, 20], [30, 200]], np.uint8), np.ones((3, 3), np.uint8))
    assert Transform(2, 1, resize="box")(blocks, "here").tolist() == [[[10, 20], [30, 200]]]


def test_grey_becomes_colour_and_colour_grey():
    grey = np.arange(4, dtype=np.uint8).reshape(2, 2)
    assert np.array_equal(Transform(2, 3)(grey, "here"), np.stack([grey] * 3))
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert Transform(2, 1)(red, "here").tolist() == [[[76, 76], [76, 76]]]  # 0.299 of 255


def test_other_channel_counts_are_refused():
    with pytest.raises(UserError, match="channels is 2"):
        Transform(8, 2)
