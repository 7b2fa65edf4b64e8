"""Bad input is answered in one line that names what to change; what is left out is counted."""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lit_gen.data import ImageColumns, Splits
from lit_gen.data.decode import Transform
from lit_gen.errors import UserError

from .sets import KINDS, SIZES, WRITERS, in_memory, pictures, streamed, write_files, write_parquet, write_tar


def write(folder: Path, kind: str, damaged: bytes | None = b"?", at: int = 7) -> Path:
    """Writes all splits, with one training image that is replaced."""
    for split in SIZES:
        images: list[bytes | None] = [*pictures(split, 40)]
        if split == "train" and damaged != b"?":
            images[at] = damaged
        WRITERS[kind](folder / kind, split, images)
    return folder / kind


def empty_folder(folder: Path) -> dict:
    (folder / "parquet").mkdir()
    return {"folder": folder / "parquet"}


def truncated_parquet(folder: Path) -> dict:
    file = write(folder, "parquet") / "train-00001.parquet"
    file.write_bytes(file.read_bytes()[:-200])
    return {"folder": file.parent}


def truncated_tar(folder: Path) -> dict:
    file = write(folder, "tar") / "train-00001.tar"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return {"folder": file.parent}


def no_tar(folder: Path) -> dict:
    file = write(folder, "tar") / "train-00001.tar"
    file.write_bytes(b"this is no tar file" * 100)
    return {"folder": file.parent}


def text_alone(folder: Path) -> dict:
    (folder / "tar").mkdir()
    with tarfile.open(folder / "tar" / "train.tar", "w") as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    return {"folder": folder / "tar", "splits": Splits(num_val=1, num_test=1, test=None)}


def integers_alone(folder: Path) -> dict:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "parquet").mkdir()
    pq.write_table(pa.table({"number": [1, 2, 3]}), folder / "parquet" / "train.parquet")
    return {"folder": folder / "parquet", "splits": Splits(num_val=1, num_test=1, test=None)}


def csv_files(folder: Path) -> dict:
    (folder / "parquet").mkdir()
    (folder / "parquet" / "train.csv").write_text("a,b\n1,2\n")
    return {"folder": folder / "parquet"}


def written(kind: str, damaged: bytes | None = b"?", **more) -> Callable[[Path], dict]:
    return lambda folder: {"folder": write(folder, kind, damaged), **more}


CASES = {
    "no folder": (lambda folder: {"folder": folder / "missing"}, "no folder"),
    "no shard": (empty_folder, "no shards and no images in"),
    "other files": (csv_files, "no shards and no images in"),
    "truncated parquet": (truncated_parquet, r"the shard .*train-00001.parquet' cannot be read"),
    "truncated tar": (truncated_tar, r"the shard .*train-00001.tar' cannot be read: (unexpected end|it ends)"),
    "no tar": (no_tar, r"the shard .*train-00001.tar' cannot be read"),
    "no image field": (text_alone, "no field of images among txt; set columns.image"),
    "no image column": (integers_alone, "no column of images among number; set columns.image"),
    "other column": (written("parquet", columns=ImageColumns("picture")), "no column 'picture'.*set columns.image"),
    "other field": (written("tar", columns=ImageColumns("webp")), "no images in field 'webp'; set columns.image"),
    "missing split": (written("parquet", splits=Splits(val="dev")), "no split 'dev', it has .*; set splits.val"),
    "no bytes in parquet": (written("parquet", b""), r"1 image \(no bytes\) in split 'train'.*image 7"),
    "nothing in parquet": (written("parquet", None), r"1 image \(no bytes\).*image 7 of split 'train'"),
    "no bytes in tar": (written("tar", b""), r"1 image \(no bytes\).*000007.png"),
    "no bytes in a folder": (written("files", b""), r"1 image \(no bytes\).*train/b/000007.png"),
    "size": (written("tar", transform=Transform(size=8, channels=3)), "is 10x10, and transform.size is 8"),
    "workers": (written("tar", num_workers=-1), "loader.num_workers of .* is -1"),
    "buffer": (written("tar", buffer=0), "loader.buffer of .* is 0"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str, tmp_path: Path) -> None:
    make, message = CASES[case]
    with pytest.raises(UserError, match=message) as error:
        streamed(**make(tmp_path)).setup()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_shards_than_workers(kind: str, tmp_path: Path) -> None:
    data = streamed(write(tmp_path, kind), num_workers=2)
    pieces = {"parquet": 2, "tar": 2, "files": 1}[kind]
    with pytest.raises(UserError, match=rf"has {pieces} shards? .* fewer than 3 processes x 2 workers"):
        data.train_loader(shuffle=True, world_size=3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damaged", [b"", b"damaged"])
def test_unreadable_images_are_replaced_and_counted(
    kind: str, damaged: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    data = streamed(write(tmp_path, kind, damaged, at=9), skip_unreadable=True, batch_size=10)
    with caplog.at_level(logging.INFO):
        loader = data.train_dataloader()
    batches = list(loader)
    assert [len(batch.x) for batch in batches] == [10] * len(batches)
    said = caplog.text + capsys.readouterr().err
    assert "1 image that cannot be read" in said
    assert data.skipped + loader.skipped == 1
    memory = in_memory(tmp_path / kind, skip_unreadable=True)
    assert data.fingerprint("test") == memory.fingerprint("test")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_unreadable_image_of_a_worker_ends_in_one_line(num_workers: int, tmp_path: Path) -> None:
    data = streamed(write(tmp_path, "tar", b"damaged", at=9), num_workers, batch_size=10)
    with pytest.raises(UserError, match=r"an image cannot be read: 000009.png .*skip_unreadable") as error:
        list(data.train_dataloader())
    assert "\n" not in str(error.value)


def test_held_out_images_that_are_unreadable_are_left_out_as_in_memory(tmp_path: Path) -> None:
    for split in SIZES:
        images = pictures(split, 40)
        images[4] = images[4][:20] if split == "validation" else images[4]
        write_tar(tmp_path / "tar", split, images)
    data, memory = (make(tmp_path / "tar", skip_unreadable=True) for make in (streamed, in_memory))
    assert data.fingerprint("val") == memory.fingerprint("val")
    assert len(data.split("val").x) == 39
    assert data.skipped == memory.skipped == 1
    with pytest.raises(UserError, match=r"1 image that cannot be read.*raise loader.max_held_out_gb"):
        list(streamed(tmp_path / "tar", held_gb=0.0, skip_unreadable=True).eval_loader("val"))


def test_files_that_are_no_images_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in SIZES:
        write_files(tmp_path / "files", split, pictures(split, 6))
        write_parquet(tmp_path / "parquet", split, pictures(split, 6))
    (tmp_path / "files" / "train" / "a" / "notes.txt").write_text("x")
    (tmp_path / "parquet" / "notes.doc").write_text("x")
    with caplog.at_level(logging.INFO):
        for kind in ("files", "parquet"):
            assert isinstance(streamed(tmp_path / kind).split("val").x, torch.Tensor)
    assert "left out: 1 file (not an image)" in caplog.text
    assert "left out: 1 file (not a shard)" in caplog.text
