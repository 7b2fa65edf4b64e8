"""Writing a file completely or not at all: several runs of a sweep may end in the same second."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path``, which takes its name once the block has succeeded, and is deleted otherwise.

    Args:
        path: The file; its directory is made.

    Yields:
        Path of the temporary file, which is empty.

    Raises:
        OSError: The directory cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide the file from everybody else
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Writes UTF-8 text to a temporary file, which takes the path's name only once it is complete.

    Args:
        path: The file; its directory is made.
        text: The content.

    Raises:
        OSError: The directory cannot be made or written.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
