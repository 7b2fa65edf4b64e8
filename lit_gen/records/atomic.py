"""Writing a file whole or not at all: a process may be killed at any moment, and runs may end in the same second."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".part"
# With tempfile's random part: eight characters of lower case letters, digits and the underscore.
_TEMPORARY = re.compile(rf"\..+\.[a-z0-9_]{{8}}\{_SUFFIX}")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path``, which takes its name once the block has succeeded, and is deleted otherwise.

    File and folder are synchronized with the disk, so that after a crash of the machine, too, ``path`` is either the
    previous file or the new one. A process that is killed leaves the temporary file (:func:`leftovers`).

    Args:
        path: The file; its directory is made.

    Yields:
        Path of the temporary file, which is empty.

    Raises:
        OSError: The directory cannot be made or written, or ``path`` is a folder or device; it names ``path``.
    """
    try:
        if path.exists() and not path.is_file():
            # Renaming onto a device would replace it, for all programs, where one may.
            raise OSError(errno.EEXIST, "it exists, and is no regular file")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            temporary.chmod(0o644)  # mkstemp's 0600 would hide the file from everybody else
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):  # on a broken disk, the first error is the one to report
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # a failing write names no file, others the temporary one
        raise


def _sync_folder(folder: Path) -> None:
    """Writes the new name to the disk; some network file systems do not support this for folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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


def leftovers(folder: Path, unchanged_seconds: float = 600.0) -> list[Path]:
    """Temporary files of :func:`atomic_file` whose process was killed, in one folder without its subfolders.

    Args:
        folder: The folder; it need not exist.
        unchanged_seconds: Age from which a file is one: a younger one may still be being written. 0 where no other
            process writes.
    """
    if not folder.is_dir():
        return []
    oldest = time.time() - unchanged_seconds
    found = []
    for file in folder.iterdir():
        if _TEMPORARY.fullmatch(file.name) and file.is_file() and not file.is_symlink():
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_mtime <= oldest or not unchanged_seconds:
                    found.append(file)
    return sorted(found)
