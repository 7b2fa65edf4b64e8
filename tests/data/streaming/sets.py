"""Small sets of pictures, written as parquet files, tar files and folders with equal content."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lit_gen.data import FolderImages, HubImages, Splits, StreamedImages, Streaming, Transform
from lit_gen.data.images import CachedImages

SIZES = {"train": 240, "validation": 30, "test": 50}
TRANSFORM = Transform(size=8, channels=3, crop="square", resize="box")
KINDS = ("parquet", "tar", "files")


def pictures(split: str, count: int) -> list[bytes]:
    """PNG files: some large, some grey, some transparent, some turned by their EXIF orientation."""
    found = []
    for i in range(count):
        rng = np.random.default_rng((len(split), i))
        channels = (3, 4, 1)[i % 3]
        pixels = rng.integers(0, 256, (10 + i % 2, 10, channels), dtype=np.uint8)
        image, stream = Image.fromarray(pixels.squeeze()), io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6 if i % 5 == 0 else 1
        image.save(stream, "png", exif=exif)
        found.append(stream.getvalue())
    return found


def write_parquet(folder: Path, split: str, images: Sequence[bytes | None], shards: int = 2, group: int = 20) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import ClassLabel, Features
    from datasets import Image as ImageFeature

    schema = Features({"image": ImageFeature(), "label": ClassLabel(names=["a", "b"])}).arrow_schema
    folder.mkdir(parents=True, exist_ok=True)
    per = -(-len(images) // shards)
    for shard in range(shards):
        rows = range(shard * per, min((shard + 1) * per, len(images)))
        content = [None if images[i] is None else {"bytes": images[i], "path": None} for i in rows]
        table = pa.table({"image": content, "label": [i % 2 for i in rows]}, schema=schema)
        pq.write_table(table, folder / f"{split}-{shard:05d}.parquet", row_group_size=group)


def write_tar(folder: Path, split: str, images: Sequence[bytes | None], shards: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    per = -(-len(images) // shards)
    for shard in range(shards):
        with tarfile.open(folder / f"{split}-{shard:05d}.tar", "w") as archive:
            for i in range(shard * per, min((shard + 1) * per, len(images))):
                for field, content in (("png", images[i]), ("cls", b"%d" % (i % 2))):
                    member = tarfile.TarInfo(f"{i:06d}.{field}")
                    member.size = len(content or b"")
                    archive.addfile(member, io.BytesIO(content or b""))


def write_files(folder: Path, split: str, images: Sequence[bytes | None]) -> None:
    for i, content in enumerate(images):
        file = folder / split / "ab"[i % 2] / f"{i:06d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content or b"")


WRITERS: Mapping[str, Callable[..., None]] = {"parquet": write_parquet, "tar": write_tar, "files": write_files}


def write_all(root: Path) -> None:
    for split, size in SIZES.items():
        for kind, write in WRITERS.items():
            write(root / kind, split, pictures(split, size))


def streamed(folder: Path, num_workers: int = 0, held_gb: float = 2.0, buffer: int = 64, **more) -> StreamedImages:
    loader = Streaming(eval_batch_size=16, num_workers=num_workers, buffer=buffer, max_held_out_gb=held_gb)
    options = {"splits": Splits(val="validation"), "batch_size": 24, "loader": loader, **more}
    return StreamedImages(str(folder), "pictures", options.pop("transform", TRANSFORM), **options)


def in_memory(folder: Path, **more) -> CachedImages:
    if folder.name == "files":
        return FolderImages(str(folder), "pictures", TRANSFORM, batch_size=24, **more)
    options = {"splits": Splits(val="validation"), "batch_size": 24, **more}
    return HubImages(str(folder), "pictures", TRANSFORM, **options)
