"""Errors caused by user input, and by files that cannot be written."""

from __future__ import annotations

import difflib
import errno
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

RUNS_OPTION = "trainer.default_root_dir"
"""Option with the folder of the runs, for messages."""

_REMEDIES = {
    errno.ENOSPC: "free space on that disk, or choose another folder",
    errno.EDQUOT: "free some of your quota, or choose another folder",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "change its permissions, or choose another folder",
    errno.EPERM: "change its permissions, or choose another folder",
    errno.EIO: "the disk failed: check it, and choose another folder",
    errno.ESTALE: "mount the network folder again, or choose another folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files (ulimit -n)",
}


class UserError(Exception):
    r"""Invalid user input, described in one line: what is wrong, where, and how to fix it.

    The commands print it to stderr as ``error: ...`` and exit with code 2, without a traceback. What a message quotes
    of the input may hold line breaks and control characters; its text does not.

    >>> str(UserError("no option 'a\x1b[2J\n b'"))
    "no option 'a?[2J b'"
    """

    def __str__(self) -> str:
        return in_one_line(super().__str__())


class FileError(UserError):
    """A file or folder cannot be read or written, although the options were valid.

    Args:
        error: The operating system's error.
        path: The file; that of the error if not given.
        option: The option with the folder, if there is one.
    """

    exit_code = 1

    def __init__(self, error: OSError, path: Path | str | None = None, option: str | None = None) -> None:
        where = path or error.filename or "a file"
        why = error.strerror or " ".join(str(error).split()) or type(error).__name__
        remedy = _REMEDIES.get(error.errno or 0, "was its folder deleted or replaced? Start again in another folder")
        super().__init__(f"cannot write {where}: {why}; {remedy}" + (f" ({option})" if option else ""))


@contextmanager
def writing(path: Path | str, option: str | None = None) -> Iterator[None]:
    """Context that writes a file.

    Args:
        path: The file, for the message.
        option: The option with its folder, for the message.

    Raises:
        FileError: If an OSError is raised inside.
    """
    try:
        yield
    except OSError as error:
        raise FileError(error, path, option) from error


def file_error(error: BaseException) -> UserError | None:
    """The one-line error for a disk that is full, read-only or broken, and for a path that is too long; None for any
    other exception.

    Libraries raise exceptions of their own from such an error, so that causes are considered too. A missing file is
    not among these errors: where lit_gen did not expect it, it is a mistake in the code, whose place matters.

    >>> print(file_error(OSError(28, "No space left on device", "runs/a/last.ckpt")))
    cannot write runs/a/last.ckpt: No space left on device; free space on that disk, or choose another folder
    >>> print(file_error(FileNotFoundError(2, "No such file", "mine.txt")))
    None
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _REMEDIES:
            return FileError(cause)
        if isinstance(cause, OSError) and cause.errno == errno.ENAMETOOLONG:
            # Whatever a path is given for, the first look at it raises.
            name = str(cause.filename)
            return UserError(f"'{name[:60]}...' ({len(name):,} characters) is too long for the path of a file")
        cause = cause.__cause__
    return None


def print_warning(text: str) -> None:
    """Prints one line about a problem that does not end the run."""
    sys.stderr.write(f"warning: {in_one_line(text)}\n")


def in_one_line(text: str) -> str:
    """A text with a blank for each line break, and without characters that could steer a terminal."""
    return text if text.isprintable() else without_controls(" ".join(line.strip() for line in text.splitlines()))


def without_controls(text: str) -> str:
    r"""A text with ``?`` for each character that could steer a terminal.

    >>> without_controls("a\x1b[2J\u202eb")
    'a?[2J?b'
    """
    if text.isprintable():
        return text
    return "".join("?" if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)


def nearest(name: str, valid: Iterable[str]) -> str:
    """Returns a clause with the valid name closest to a misspelt one, or an empty string.

    >>> nearest("halflive", ["halflife", "seed"])
    "; did you mean 'halflife'?"
    >>> nearest("zzz", ["halflife", "seed"])
    ''
    """
    found = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f"; did you mean '{found[0]}'?" if found else ""
