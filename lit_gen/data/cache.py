"""Decoded splits on disk: written once, atomically, and read into memory or memory-mapped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import torch

from lit_gen.data.module import SPLITS, Split, SplitName
from lit_gen.errors import UserError

# Incremented whenever the same description would give other bytes than before.
FORMAT = 3


def cache_root() -> Path:
    """``$LIT_GEN_CACHE``, or ~/.cache/lit_gen."""
    return Path(os.environ.get("LIT_GEN_CACHE") or "~/.cache/lit_gen").expanduser()


def cache_key(description: Mapping[str, object]) -> str:
    """16 hex digits, the hash of a description of a source and of its transform."""
    text = json.dumps({"format": FORMAT, **description}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class SplitWriter:
    """Appends examples to one ``.npy`` file; their number is known only at the end.

    Args:
        path: Path of the file.
        shape: Shape of one example.
        dtype: Type of its entries.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.path, self.shape, self.dtype, self.count = path, shape, np.dtype(dtype), 0
        self._file: BinaryIO = path.open("wb")
        self._write_header()
        self._start = self._file.tell()

    def append(self, example: np.ndarray | int) -> None:
        """Adds one example."""
        self._file.write(np.ascontiguousarray(example, dtype=self.dtype).tobytes())
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # numpy pads the header so that the first axis may grow in place
        self._file.seek(0)
        self._write_header()
        grown = self._file.tell() != self._start
        self._file.close()
        if grown and kind is None:
            raise AssertionError(f"the header of {self.path} no longer fits")

    def _write_header(self) -> None:
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A new folder that is renamed to ``target`` if the block succeeds, and is deleted if it fails.

    Several processes may do this at once: the first to finish wins, the others delete their copy.

    Raises:
        UserError: The cache cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise UserError(
            f"cannot write the cache of decoded images at {target.parent}: {error.strerror}; "
            "set LIT_GEN_CACHE to a folder that can be written"
        ) from error
    try:
        yield part
        try:
            os.replace(part, target)
        except OSError:
            if not target.is_dir():
                raise
    except OSError as error:
        raise UserError(
            f"writing the cache {target} failed: {error}; set LIT_GEN_CACHE to another disk"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_splits(folder: Path, max_memory_gb: float) -> tuple[dict[SplitName, Split], dict[str, Any]]:
    """Reads a cache entry.

    Args:
        folder: Folder of the entry.
        max_memory_gb: Size in 10**9 bytes, over all splits, above which the images are memory-mapped.

    Returns:
        The splits, and the content of ``meta.json``.
    """
    mapped = sum((folder / f"{name}.npy").stat().st_size for name in SPLITS) > max_memory_gb * 1e9
    splits: dict[SplitName, Split] = {}
    for name in SPLITS:
        # "c": copy on write, because torch wants writable memory and the file must not change
        x = torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c" if mapped else None))
        label_file = folder / f"{name}_label.npy"
        splits[name] = Split(x, torch.from_numpy(np.load(label_file)) if label_file.exists() else None)
    return splits, json.loads((folder / "meta.json").read_text())
