"""Reading a file that somebody else put there: pipes and devices would block or never end, and size is limited."""

from __future__ import annotations

import stat
from pathlib import Path

from lit_gen.records.file_size import file_size


def check_plain(path: Path, most_bytes: int) -> None:
    """Validates that a path is a regular file of at most so many bytes, without opening it.

    Raises:
        OSError: It does not exist or cannot be accessed.
        ValueError: It is something else than a file, or larger.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"is no regular file but {_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}")
    if found.st_size > most_bytes:
        raise ValueError(f"is larger than {file_size(most_bytes)} ({file_size(found.st_size)})")


_KINDS = {
    stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
