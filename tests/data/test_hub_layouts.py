"""Hub data sets as people store them: rows without images, bytes, `save_to_disk`, webdataset, fractions."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from lit_gen.data import AudioColumns, HubAudio, HubImages, ImageColumns, Splits, Transform
from lit_gen.errors import UserError

Pictures = Callable[..., np.ndarray]
COUNT = 20
ENCODED = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@pytest.fixture
def files(pictures: Pictures) -> list[bytes]:
    """Twenty PNG files."""
    found = []
    for pixels in pictures(COUNT, 8, 8, 3):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        found.append(file.getvalue())
    return found


def store(folder: Path, columns: dict, schema: pa.Schema | None = None) -> Path:
    folder.mkdir()
    pyarrow.parquet.write_table(pa.table(columns, schema), folder / "train-00000-of-00001.parquet")
    return folder


def hub(folder: Path, **options) -> HubImages:
    splits = Splits(test=None, num_val=3, num_test=0.2)
    return HubImages(str(folder), "tiny", Transform(size=8, channels=3), splits=splits, **options)


def pixels_of(data: HubImages) -> set[bytes]:
    return {row.numpy().tobytes() for name in ("train", "val", "test") for row in data.split(name).x}


def expected(pictures: Pictures) -> set[bytes]:
    return {p.transpose(2, 0, 1).tobytes() for p in pictures(COUNT, 8, 8, 3)}


def sizes(data: HubImages) -> list[int]:
    return [len(data.split(name).x) for name in ("train", "val", "test")]


def test_rows_without_an_image_are_counted_as_unreadable(tmp_path: Path, files: list[bytes], pictures: Pictures):
    import datasets

    rows = [{"bytes": file, "path": None} for file in files]
    rows[3:3] = [None, {"bytes": b"", "path": None}, {"bytes": None, "path": None}]
    schema = datasets.Features({"image": datasets.Image()}).arrow_schema
    folder = store(tmp_path / "gaps", {"image": rows}, schema)
    with pytest.raises(UserError) as caught:
        hub(folder).setup()
    assert str(caught.value) == (
        "3 of 23 images of 'tiny' cannot be read: image 3 of split 'train' (the file is empty), image 4 of split "
        "'train' (the file is empty), image 5 of split 'train' (the file is empty); repair or remove them, or set "
        "skip_unreadable to true"
    )
    data = hub(folder, skip_unreadable=True)
    assert pixels_of(data) == expected(pictures)
    assert data.skipped == 3


@pytest.mark.parametrize("kind", ["struct", "binary"])
def test_columns_of_bytes_are_images(kind: str, tmp_path: Path, files: list[bytes], pictures: Pictures):
    column = pa.array([{"bytes": file, "path": "x.png"} for file in files], ENCODED) if kind == "struct" else files
    folder = store(tmp_path / kind, {"photo": column, "id": list(range(COUNT))})
    assert pixels_of(hub(folder)) == expected(pictures)
    assert pixels_of(hub(folder, columns=ImageColumns(image="photo"))) == expected(pictures)


def test_a_column_of_images_goes_before_one_of_bytes(tmp_path: Path, files: list[bytes], pictures: Pictures):
    import datasets

    features = datasets.Features({"mask": datasets.Value("binary"), "image": datasets.Image()})
    columns = {"mask": [b"x"] * COUNT, "image": [{"bytes": file, "path": None} for file in files]}
    assert pixels_of(hub(store(tmp_path / "both", columns, features.arrow_schema))) == expected(pictures)


@pytest.mark.parametrize("several", [False, True])
def test_what_was_saved_to_disk_is_loaded(several: bool, tmp_path: Path, files: list[bytes], pictures: Pictures):
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    columns = {"image": [{"bytes": file, "path": None} for file in files], "label": list(range(COUNT))}
    saved = datasets.Dataset.from_dict(columns, features=features)
    (datasets.DatasetDict({"train": saved}) if several else saved).save_to_disk(str(tmp_path / "saved"))
    data = hub(tmp_path / "saved")
    assert pixels_of(data) == expected(pictures)
    labels = [number for name in ("train", "val", "test") for number in data.split(name).label.tolist()]
    assert sorted(labels) == list(range(COUNT))


def test_cls_of_webdataset_is_the_label(tmp_path: Path, files: list[bytes], pictures: Pictures):
    (tmp_path / "web").mkdir()
    with tarfile.open(tmp_path / "web" / "train-000.tar", "w") as archive:
        for number, file in enumerate(files):
            for ending, content in (("png", file), ("cls", str(number % 3).encode())):
                entry = tarfile.TarInfo(f"{number:04}.{ending}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    data = hub(tmp_path / "web")
    label = {p.transpose(2, 0, 1).tobytes(): i % 3 for i, p in enumerate(pictures(COUNT, 8, 8, 3))}
    for name in ("train", "val", "test"):
        split = data.split(name)
        assert [label[row.numpy().tobytes()] for row in split.x] == split.label.tolist()


def test_the_test_split_can_be_a_fraction(tmp_path: Path, files: list[bytes]):
    folder = store(tmp_path / "whole", {"image": files})
    assert sizes(hub(folder)) == [13, 3, 4]
    data = HubImages(str(folder), "tiny", Transform(size=8, channels=3), splits=Splits(num_val=3, num_test=0.2))
    with pytest.raises(UserError) as caught:
        data.setup()
    assert str(caught.value).endswith(
        "has no split 'test', it has train; set splits.test, or to null to hold splits.num_test out of train"
    )


def test_a_row_without_a_recording_is_named(tmp_path: Path):
    import datasets

    schema = datasets.Features({"audio": datasets.Audio(sampling_rate=8000)}).arrow_schema
    folder = store(tmp_path / "spoken", {"audio": [None] * 2 + [{"bytes": b"", "path": None}]}, schema)
    splits = Splits(test=None, num_val=1, num_test=1)
    data = HubAudio(str(folder), "spoken", 8000, 10, columns=AudioColumns(), splits=splits)
    with pytest.raises(UserError, match=r"recording 0 of split 'train' of '.*' is not an audio file that can be"):
        data.setup()
