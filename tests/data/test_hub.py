"""HubImages: the shelf's real sets, tiny ones made here, and what cannot be had."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_gen.data import HubImages, HubSource, ImageColumns, Splits, Transform
from lit_gen.errors import UserError

Pictures = Callable[..., np.ndarray]
DEAD_HUB = "http://127.0.0.1:9"  # the discard port: refuses at once


def png(pixels: np.ndarray) -> dict:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def write(folder: Path, part: str, columns: dict, features: dict) -> Path:
    import datasets

    folder.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    table.to_parquet(folder / f"{part}-00000-of-00001.parquet")
    return folder


@pytest.fixture
def tiny(tmp_path: Path, pictures: Pictures) -> Path:
    """A data set in the hub's layout: 30 train and 10 test images, 8x8 colour, columns img and fine_label."""
    import datasets

    features = {"fine_label": datasets.ClassLabel(num_classes=5), "img": datasets.Image()}
    for part, n, seed in (("train", 30, 0), ("test", 10, 1)):
        columns = {
            "fine_label": [i % 5 for i in range(n)],
            "img": [png(p) for p in pictures(n, 8, 8, 3, seed)],
        }
        write(tmp_path / "copies" / "owner" / "tiny", part, columns, features)
    return tmp_path / "copies" / "owner" / "tiny"


def hub(path: object, **options) -> HubImages:
    """The tiny set; options of the transform and the splits by their bare names."""
    given = {"size": 8, "channels": 3, "num_val": 6, **options}
    transform = Transform(**{key: given.pop(key) for key in ("size", "channels", "crop", "resize") if key in given})
    named = {key: given.pop(key) for key in ("train", "val", "test", "num_val", "num_test") if key in given}
    return HubImages(str(path), "tiny", transform, splits=Splits(**named), **given)


def test_columns_are_found_and_pixels_kept(tiny: Path, pictures: Pictures):
    data = hub(tiny)
    assert (data.name, data.shape, data.num_levels) == ("tiny", (3, 8, 8), 256)
    assert np.array_equal(data.split("test").x.permute(0, 2, 3, 1), pictures(10, 8, 8, 3, 1))
    assert data.split("test").label.tolist() == [i % 5 for i in range(10)]
    train, val = data.split("train"), data.split("val")
    assert (len(train.x), len(val.x)) == (24, 6)
    joined = {row.numpy().tobytes() for row in torch.cat([train.x, val.x])}
    assert joined == {p.transpose(2, 0, 1).tobytes() for p in pictures(30, 8, 8, 3)}
    originals = {p.transpose(2, 0, 1).tobytes(): i % 5 for i, p in enumerate(pictures(30, 8, 8, 3))}
    assert [originals[row.numpy().tobytes()] for row in val.x] == val.label.tolist()


def test_colour_to_grey_with_resize(tiny: Path, pictures: Pictures):
    x = hub(tiny, channels=1, size=4, resize="box").split("test").x
    expected = [
        Image.fromarray(p).resize((4, 4), Image.Resampling.BOX).convert("L") for p in pictures(10, 8, 8, 3, 1)
    ]
    assert x.shape == (10, 1, 4, 4)
    assert np.array_equal(x[:, 0], np.stack([np.asarray(image) for image in expected]))


def test_transforms_have_caches_of_their_own(tiny: Path):
    assert hub(tiny, crop=4, size=4).fingerprint("test") != hub(tiny, size=4, resize="box").fingerprint(
        "test"
    )


def test_root_and_environment_lead_to_the_copies(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    root = tiny.parents[1]
    assert HubSource(root=str(root)).folder("owner/tiny") == tiny
    monkeypatch.setenv("LIT_GEN_DATA", str(root))
    assert HubSource().folder("owner/tiny") == tiny
    assert hub("owner/tiny").fingerprint("train") == hub(tiny).fingerprint("train")


def test_validation_split_of_the_source_is_used_when_asked(tiny: Path, pictures: Pictures):
    data = hub(tiny, val="test", test=None, num_val=None, num_test=5)
    assert np.array_equal(data.split("val").x.permute(0, 2, 3, 1), pictures(10, 8, 8, 3, 1))
    assert [len(data.split(name).x) for name in ("train", "test")] == [25, 5]


def test_arrays_of_uint8_are_images_too(tmp_path: Path, pictures: Pictures):
    import datasets

    features = {"image": datasets.Array3D((8, 8, 3), "uint8"), "label": datasets.Value("int32")}
    for part in ("train", "test"):
        columns = {"image": list(pictures(9, 8, 8, 3)), "label": list(range(9))}
        write(tmp_path / "arrays", part, columns, features)
    test = hub(tmp_path / "arrays", num_val=2).split("test")
    assert np.array_equal(test.x.permute(0, 2, 3, 1), pictures(9, 8, 8, 3))
    assert test.label.tolist() == list(range(9))


def test_image_folder_of_the_hub_layout(tmp_path: Path, pictures: Pictures, save_png: Callable):
    for part in ("train", "test"):
        for i, pixels in enumerate(pictures(6, 8, 8, 3)):
            save_png(pixels, tmp_path / "imgs" / part / "ab"[i % 2] / f"{i}.png")
    test = hub(tmp_path / "imgs", num_val=2).split("test")
    assert test.label.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(test.x.permute(0, 2, 3, 1), pictures(6, 8, 8, 3)[[0, 2, 4, 1, 3, 5]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"train": "trian"},
            r"no split 'trian', it has train, test; did you mean 'train'\?; set splits\.train",
        ),
        (
            {"columns": ImageColumns(image="imgg")},
            r"no column 'imgg', it has fine_label, img; did you mean 'img'\?; set columns\.image",
        ),
        ({"columns": ImageColumns(image="fine_label")}, r"column 'fine_label' .* holds no images.*columns\.image"),
        ({"columns": ImageColumns(label="img")}, r"column 'img' .* holds no integers: .*; set columns\.label"),
        ({"size": 9}, r"image 0 of split 'train' is 8x8, and transform\.size is 9 without a resize"),
        ({"num_val": None}, r"split 'val' .* would be empty: splits\.num_val is 0"),
        ({"num_val": 30}, r"has 30 training examples and 30 are held out"),
    ],
)
def test_what_does_not_fit_is_told(tiny: Path, options: dict, message: str):
    with pytest.raises(UserError, match=message) as error:
        hub(tiny, **options).setup()
    assert "\n" not in str(error.value)


def test_data_without_images_is_refused(tmp_path: Path):
    import datasets

    folder = write(tmp_path / "words", "train", {"text": ["a"]}, {"text": datasets.Value("string")})
    with pytest.raises(UserError, match=r"no column of images among text"):
        hub(folder, test=None).setup()


def test_misspelt_path_names_its_nearest_sibling(tiny: Path):
    for wrong in (tiny.parent / "tny", f"./{tiny.parent}/tny"):
        with pytest.raises(UserError, match=r"has no 'tny'; did you mean 'tiny'|no folder"):
            hub(wrong).setup()
    with pytest.raises(UserError, match=r"has no 'tny'; did you mean 'tiny'"):
        hub(tiny.parent / "tny").setup()


def test_misspelt_relative_path_is_not_taken_for_a_hub_id(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tiny.parents[1])
    with pytest.raises(UserError, match=r"has no 'tny'; did you mean 'tiny'"):
        hub("owner/tny").setup()


def test_empty_folder_is_told_in_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"`datasets` cannot load the folder") as error:
        hub(tmp_path).setup()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("train-00000-of-00001.parquet", b"no parquet at all", r"Parquet magic bytes not found"),
        ("train.csv", b"a,b\n1,2\n1,2,3,4\n", r"Expected 2 fields in line 3, saw 4"),
        ("train.csv", "a\n\u00e9\n".encode("latin-1"), r"'utf-8' codec can't decode byte 0xe9"),
    ],
)
def test_cause_of_a_loading_error_is_in_the_line(tmp_path: Path, name: str, content: bytes, reason: str):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"`datasets` cannot load the folder '.*broken': .*{reason}") as error:
        hub(folder).setup()
    assert "\n" not in str(error.value)
    assert "An error occurred" not in str(error.value)


def test_class_names_of_the_source_are_known(tmp_path: Path, pictures: Pictures):
    import datasets

    features = {"label": datasets.ClassLabel(names=["cat", "dog"]), "image": datasets.Image()}
    for part in ("train", "test"):
        write(tmp_path / "pets", part, {"label": [0, 1] * 3, "image": [png(p) for p in pictures(6, 8, 8, 3)]}, features)
    for _ in range(2):  # decoded, then from the cache
        data = hub(tmp_path / "pets", num_val=2)
        data.setup()
        assert data.class_names == ("cat", "dog")


def test_missing_data_root_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIT_GEN_DATA", "/no/such/root")
    with pytest.raises(UserError, match=r"data root '/no/such/root' is not a folder.*LIT_GEN_DATA"):
        hub("owner/tiny").setup()


def test_unreachable_hub_is_told_at_once(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", DEAD_HUB)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"no data set 'owner/tny': .* no copy in .*'owner/tiny'.*the hub"):
        hub("owner/tny", hub=HubSource(root=str(tiny.parents[1]))).setup()
    assert time.monotonic() - start < 5  # `datasets` alone tries for 23 s


def test_offline_mode_of_the_user_is_respected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("lit_gen.data.hub_source._answers", lambda _: pytest.fail("asked the network"))
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE"):
        hub("owner/tiny").setup()


def test_decoded_hub_set_needs_no_network(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    import datasets

    loaded = datasets.load_dataset(str(tiny))
    monkeypatch.setattr(HubSource, "load", lambda *_: loaded)
    first = hub("owner/tiny").fingerprint("train")
    monkeypatch.setattr(HubSource, "load", lambda *_: pytest.fail("went to the hub"))
    assert hub("owner/tiny").fingerprint("train") == first


@pytest.mark.parametrize(
    ("path", "mean", "std"),
    [("ylecun/mnist", 0.1307, 0.3081), ("zalando-datasets/fashion_mnist", 0.2860, 0.3530)],
)
@pytest.mark.slow
def test_shelf_holds_the_original_grey_sets(shelf: Path, path: str, mean: float, std: float):
    data = HubImages(path, "grey", Transform(28, 1), HubSource(root=str(shelf)), splits=Splits(num_val=5000))
    whole = torch.cat([data.split("train").x, data.split("val").x]) / 255
    assert (len(whole), len(data.split("test").x)) == (60_000, 10_000)
    assert float(whole.mean()) == pytest.approx(mean, abs=5e-5)
    assert float(whole.std()) == pytest.approx(std, abs=5e-5)
    assert data.split("test").label.bincount().sum() == 10_000


def test_shelf_test_split_is_in_the_order_of_the_file(shelf: Path):
    """MNIST test digits begin 7, 2, 1, 0, 4; read as all three splits, so that nothing else is decoded."""
    splits = Splits(train="test", val="test", test="test")
    data = HubImages("ylecun/mnist", "mnist", Transform(28, 1), HubSource(root=str(shelf)), splits=splits)
    assert data.split("test").label[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(data.split("test").x) == 10_000


@pytest.mark.slow
def test_shelf_colour_set_has_its_own_columns(shelf: Path):
    data = HubImages(
        "cifar10_jpeg", "cifar10_jpeg", Transform(32, 3), HubSource(root=str(shelf)), splits=Splits(num_val=5000)
    )
    assert [len(data.split(name).x) for name in ("train", "val", "test")] == [45_000, 5_000, 10_000]
    assert data.split("test").label.bincount().tolist() == [1000] * 10
