"""Programs of `test_streaming`: each makes batches of uint8 images of 256x256 from one generated set.

    python -m benchmarks.streaming_contestants KIND FOLDER [first]

With ``first`` it reports the time to the first batch and the memory after 100 batches instead of taking turns.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.turns import take_turns

BATCH, WORKERS, SIZE, BUFFER, DISTINCT = 64, 2, 256, 4096, 300
IN_MEMORY = 4_000


def jpegs() -> list[bytes]:
    """Distinct pictures with smooth structure and noise, about 20 kB each."""
    found = []
    for i in range(DISTINCT):
        rng = np.random.default_rng(i)
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((SIZE, SIZE), 3)
        noisy = np.asarray(coarse, np.int16) + rng.integers(-4, 5, (SIZE, SIZE, 3))
        stream = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=75)
        found.append(stream.getvalue())
    return found


def write_set(folder: Path, count: int) -> None:
    """Writes one set as parquet files, tar files and class folders; bytes after a picture's end make it distinct."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import ClassLabel, Features
    from datasets import Image as ImageFeature

    pictures = jpegs()
    features = Features({"image": ImageFeature(), "label": ClassLabel(num_classes=10)})
    for split, number in (("train", count), ("validation", 100), ("test", 100)):
        per = min(1_000, max(1, number // 4))
        for shard, first in enumerate(range(0, number, per)):
            rows = range(first, min(first + per, number))
            content = [pictures[i % DISTINCT] + i.to_bytes(8, "little") for i in rows]
            images = [{"bytes": one, "path": None} for one in content]
            table = pa.table({"image": images, "label": [i % 10 for i in rows]}, schema=features.arrow_schema)
            (folder / "parquet").mkdir(parents=True, exist_ok=True)
            pq.write_table(table, folder / "parquet" / f"{split}-{shard:05d}.parquet", row_group_size=100)
            (folder / "tar").mkdir(exist_ok=True)
            with tarfile.open(folder / "tar" / f"{split}-{shard:05d}.tar", "w") as archive:
                for i, one in zip(rows, content, strict=True):
                    for field, data in (("jpg", one), ("cls", b"%d" % (i % 10))):
                        member = tarfile.TarInfo(f"{i:08d}.{field}")
                        member.size = len(data)
                        archive.addfile(member, io.BytesIO(data))
            for i, one in zip(rows, content, strict=True):
                file = folder / "files" / split / str(i % 10) / f"{i:08d}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(one)


def lit_gen_stream(folder: Path) -> Iterator[Any]:
    """Our streaming data module, epoch after epoch."""
    from lit_gen.data import Splits, StreamedImages, Streaming, Transform

    loader = StreamedImages(
        str(folder),
        "benchmark",
        Transform(size=SIZE, channels=3),
        splits=Splits(val="validation"),
        batch_size=BATCH,
        loader=Streaming(num_workers=WORKERS, buffer=BUFFER),
    ).train_dataloader()
    return itertools.chain.from_iterable(itertools.repeat(loader))


def lit_gen_memory(folder: Path) -> Iterator[Any]:
    """Our loader of decoded images, of the first few thousand pictures."""
    from lit_gen.data import SliceLoader

    x = torch.randint(0, 256, (IN_MEMORY, 3, SIZE, SIZE), dtype=torch.uint8)
    return itertools.chain.from_iterable(itertools.repeat(SliceLoader(x, batch_size=BATCH, shuffle=True)))


def torchvision_folder(folder: Path) -> Iterator[Any]:
    """torchvision's ImageFolder in torch's DataLoader, to uint8."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import PILToTensor

    data = ImageFolder(str(folder / "files" / "train"), PILToTensor())
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=WORKERS)
    return itertools.chain.from_iterable(itertools.repeat(loader))


def webdataset(folder: Path) -> Iterator[Any]:
    """webdataset's pipeline with a shuffle buffer of the same size, to uint8."""
    import webdataset as wds

    files = sorted(map(str, (folder / "tar").glob("train-*.tar")))
    data = wds.WebDataset(files, shardshuffle=len(files), seed=0, empty_check=False).repeat().shuffle(BUFFER)
    data = data.decode("rgb8").to_tuple("jpg", "cls").batched(BATCH, partial=False)
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=WORKERS)
    return (torch.as_tensor(x) for x, _ in loader)


CONTESTANTS = {
    "lit_gen parquet": lambda folder: lit_gen_stream(folder / "parquet"),
    "lit_gen tar": lambda folder: lit_gen_stream(folder / "tar"),
    "lit_gen files": lambda folder: lit_gen_stream(folder / "files"),
    "lit_gen in memory": lit_gen_memory,
    "ImageFolder": torchvision_folder,
    "webdataset": webdataset,
}


def peak_mib(pid: int | str = "self") -> float:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def children_mib() -> float:
    """The largest of this process's children, at its peak."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return max((peak_mib(pid) for pid in children), default=0.0)


def images_in(batch: Any) -> int:
    return len(batch) if isinstance(batch, torch.Tensor) else len(batch[0])


def main() -> None:
    torch.set_num_threads(1)
    import lightning  # noqa: F401  # outside of what is timed
    import torchvision  # noqa: F401

    name, folder = sys.argv[1], Path(sys.argv[2])
    if len(sys.argv) == 3:
        batches = CONTESTANTS[name](folder)
        take_turns(lambda: images_in(next(batches)), 0, lambda: float("nan"))
    before, since = peak_mib(), time.perf_counter()
    batches = CONTESTANTS[name](folder)
    images_in(next(batches))
    first = time.perf_counter() - since
    for _ in range(100):
        next(batches)
    found = {"first": first, "main": peak_mib() - before, "worker": children_mib()}
    print("FOUND", json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
