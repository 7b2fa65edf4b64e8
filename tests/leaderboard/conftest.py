"""Directories of records, and pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_gen.records.record import Record, write_record


def make_png(
    width: int = 4, height: int = 3, shade: Callable[[int, int], int] = lambda x, y: 40 * x
) -> bytes:
    """A grey PNG, made by hand: the leaderboard has no image library."""
    rows = b"".join(b"\0" + bytes(shade(x, y) for x in range(width)) for y in range(height))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., Path]:
    """Writes records, each into a directory of its own, and returns the directory that holds them."""

    def write(*records: Record) -> Path:
        root = tmp_path / "runs"
        root.mkdir(exist_ok=True)
        for i, record in enumerate(records):
            write_record(root / f"run{i}" / "record.json", record)
        return root

    return write
