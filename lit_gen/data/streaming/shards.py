"""Encoded images of one split in pieces that are read one at a time: interface of all kinds of shards."""

from __future__ import annotations

import abc
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Generic, NamedTuple, TypeVar

import numpy as np

from lit_gen.data.image_source import Example
from lit_gen.errors import UserError

T = TypeVar("T")

HEAD_BYTES = 65_536
"""Number of bytes at the beginning of a shard that its fingerprint covers."""
RUN = 64
"""Images of a piece, where the format has no pieces of its own."""


class ShardPrint(NamedTuple):
    """What identifies a shard without reading it: its name, its size in bytes and the SHA-256 (hex) of its head."""

    name: str
    size: int
    head: str


class Shards(abc.ABC):
    """Encoded images of one split, in the order of the source.

    A piece is a run of consecutive images that is cheap to read together, such as a row group of a parquet file.
    The position of an image in the split is its index, which does not depend on who reads it or when.

    Attributes:
        counts: Number of images of each piece, int64 ``[num_pieces]``.
        prints: What identifies the shards, in order.
        label_range: Lowest and highest label; None if the images have no labels.
        empty: Indices of images that are known to have no bytes, int64 ``[M]``.
    """

    counts: np.ndarray
    prints: list[ShardPrint]
    label_range: tuple[int, int] | None = None
    empty: np.ndarray = np.zeros(0, np.int64)

    @abc.abstractmethod
    def read(self, piece: int, rows: np.ndarray) -> list[Example]:
        """Reads some images of a piece.

        Args:
            piece: Number of the piece.
            rows: Positions in the piece, int64 ``[M]``.

        Raises:
            UserError: The shard cannot be read.
        """

    def __len__(self) -> int:
        return int(self.counts.sum())


class SomeRows(Shards):
    """Some of the images of other shards, in their order.

    Args:
        shards: The shards.
        kept: Which images are kept, bool ``[len(shards)]``.
    """

    def __init__(self, shards: Shards, kept: np.ndarray) -> None:
        self.shards = shards
        parts = np.split(kept, np.cumsum(shards.counts)[:-1])
        rows = [np.flatnonzero(part) for part in parts]
        self._piece = [piece for piece, part in enumerate(rows) if len(part)]
        self._rows = [rows[piece] for piece in self._piece]
        self.counts = np.array([len(part) for part in self._rows], np.int64)
        self.prints, self.label_range = shards.prints, shards.label_range
        without_bytes = np.zeros(len(kept), bool)
        without_bytes[shards.empty] = True
        self.empty = np.flatnonzero(without_bytes[kept])

    def read(self, piece: int, rows: np.ndarray) -> list[Example]:
        """Reads some of the kept images of a piece."""
        return self.shards.read(self._piece[piece], self._rows[piece][rows])


class LastOpened(Generic[T]):
    """What was opened last, by its number; opened anew in each process.

    A forked process shares its parent's place in an open file, and one that is spawned cannot be given the file.
    """

    def __init__(self) -> None:
        self._kept: tuple[int, int, T] | None = None

    def __call__(self, number: int, open_it: Callable[[], T]) -> T:
        """What has this number; the one before is closed first.

        Args:
            number: Number of what is wanted.
            open_it: Function that opens it.
        """
        if self._kept is None or self._kept[:2] != (os.getpid(), number):
            self._close()
            self._kept = os.getpid(), number, open_it()
        return self._kept[2]

    def _close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None and hasattr(kept[2], "close"):
            kept[2].close()

    def __del__(self) -> None:
        self._close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_kept": None}


def is_empty(example: Example) -> bool:
    """Whether an example holds no bytes at all."""
    return isinstance(example.image, bytes) and not example.image


def runs_of(count: int) -> list[int]:
    """Sizes of the pieces of so many images.

    >>> runs_of(150)
    [64, 64, 22]
    """
    return [min(RUN, count - first) for first in range(0, count, RUN)]


def print_of(name: str, file: str) -> ShardPrint:
    """What identifies a shard.

    Args:
        name: Name of the shard, relative to the data set's folder.
        file: Its path or address.

    Raises:
        UserError: The shard cannot be read.
    """
    with opened(file) as stream:
        head = stream.read(HEAD_BYTES)
        return ShardPrint(name, stream.seek(0, io.SEEK_END), hashlib.sha256(head).hexdigest())


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """A shard, opened for reading: a local file, or an address of a file system that fsspec knows (``hf://...``).

    Raises:
        UserError: It cannot be read; errors raised while it is open count too.
    """
    try:
        with open_stream(file) as stream:
            yield stream
    except (OSError, EOFError) as error:
        raise unreadable_shard(file, error) from error


def is_local(file: str) -> bool:
    """Whether a shard is a file of this machine and not an address."""
    return "://" not in file


def open_stream(file: str) -> IO[bytes]:
    """Opens a local file, or an address of a file system that fsspec knows."""
    if is_local(file):
        return Path(file).open("rb")
    import fsspec

    stream: IO[bytes] = fsspec.open(file, "rb").open()
    return stream


def unreadable_shard(file: str, error: BaseException | str) -> UserError:
    """The error for a shard that is damaged or cannot be opened."""
    why = getattr(error, "strerror", None) or " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"the shard '{file}' cannot be read: {why}; repair it, copy it again or remove it")
