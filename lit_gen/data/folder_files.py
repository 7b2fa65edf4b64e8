"""The files below a user's folder: links, permissions and strange names neither stop a run nor pass in silence."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lit_gen.errors import UserError, nearest


@dataclass(frozen=True)
class FileKind:
    """The files of a data set.

    Attributes:
        noun: Name of one of them, in the singular.
        extensions: Endings of the files that are read, in lower case.
        not_decoded: Endings of such files that the library does not decode.
        library: Name of the library.
    """

    noun: str
    extensions: frozenset[str]
    not_decoded: frozenset[str]
    library: str

    @property
    def with_article(self) -> str:
        """The noun with its indefinite article."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


# fmt: off
EXTENSIONS = frozenset((
    ".apng", ".avif", ".avifs", ".bmp", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpf",
    ".jpg", ".jpx", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp",
    ".xbm", ".xpm",
))
"""Endings of the files that are read: of pictures that Pillow decodes, not of documents or of scientific data."""
_NOT_DECODED = {
    ".arw", ".cr2", ".cr3", ".dng", ".exr", ".heic", ".heif", ".jxl", ".nef", ".orf", ".raw", ".svg",
}
_AUDIO = frozenset((
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64",
))
# fmt: on
IMAGES = FileKind("image", EXTENSIONS, frozenset(_NOT_DECODED), "Pillow")
RECORDINGS = FileKind("recording", _AUDIO, frozenset((".aac", ".m4a", ".wma")), "libsndfile")

# Folders in which network storage and operating systems keep thumbnails and deleted files.
_SYSTEM = {"@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "__macosx"}
_SYSTEM |= {"lost+found", "system volume information"}

LeftOut = Counter[tuple[str, str]]
"""Counts of what is left out, by a noun (``file``) and a reason."""


def missing_folder(path: Path, kind: FileKind = IMAGES) -> UserError:
    """The error for a folder that does not exist; names its deepest parent that does, and the nearest entry there."""
    there = path
    while not there.is_dir():
        there = there.parent
    step = path.relative_to(there).parts[0]
    if there.joinpath(step).exists():
        return UserError(f"'{shown(path)}' is a file: path must be a folder of {kind.noun}s")
    siblings = [entry.name for entry in there.iterdir()]
    return UserError(f"no folder '{shown(path)}': '{shown(there)}' has no '{shown(step)}'{nearest(step, siblings)}")


def shown(path: Path | str) -> str:
    r"""A path for messages: bytes that are not UTF-8 become the replacement character.

    >>> shown("caf\udce9.png") == "caf\ufffd.png"
    True
    """
    return os.fsencode(path).decode("utf-8", "replace")


def visible_folders(folder: Path) -> list[Path]:
    """Sub-folders of a folder without hidden ones and those of the system, sorted.

    Raises:
        UserError: The folder cannot be read.
    """
    try:
        return sorted(part for part in folder.iterdir() if part.is_dir() and not _is_internal(part.name))
    except OSError as error:
        raise _unreadable(folder, error) from error


def files_of(kind: FileKind, folder: Path, left_out: LeftOut | None = None) -> list[Path]:
    """All files of a kind below a folder, by their endings, sorted by path.

    Args:
        kind: Which files.
        folder: Folder; links below it are followed.
        left_out: Counts what is left out.

    Raises:
        UserError: The folder cannot be read.
    """
    counts: LeftOut = Counter() if left_out is None else left_out
    found = []
    for file, _ in files_below(folder, counts):
        ending = file.suffix.lower()
        if file.name.startswith("."):
            # Other hidden files, such as .DS_Store, are no loss.
            counts["file", "hidden"] += ending in kind.extensions
        elif ending in kind.extensions:
            found.append(file)
        elif ending in kind.not_decoded:
            counts["file", f"{ending}, which {kind.library} does not decode"] += 1
        else:
            counts["file", f"not {kind.with_article}"] += 1
    return sorted(found)


def fingerprint_folder(folder: Path) -> str:
    """SHA-256 over the names, sizes and times of all files below a folder; reads none of them."""
    digest = hashlib.sha256()
    for file, status in files_below(folder, Counter()):
        name = os.fsencode(file.relative_to(folder))
        digest.update(name + f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def files_below(folder: Path, left_out: LeftOut) -> Iterator[tuple[Path, os.stat_result]]:
    """All files below a folder that exist, those of each folder before those of its sub-folders, sorted by name.

    Args:
        folder: Folder; links are followed, but none to a folder that contains it.
        left_out: Counts what is left out.

    Raises:
        UserError: The folder cannot be read; a sub-folder that cannot be read is left out.
    """
    try:
        yield from _below(folder, left_out, ())
    except OSError as error:
        raise _unreadable(folder, error) from error


def _below(
    folder: Path, left_out: LeftOut, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[Path, os.stat_result]]:
    status = os.stat(folder)
    above = (*above, (status.st_dev, status.st_ino))
    folders = []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        try:
            status = os.stat(folder / name)
        except OSError as error:
            left_out[_unreachable(folder / name, error)] += 1
            continue
        if stat.S_ISDIR(status.st_mode):
            folders.append((name, status))
        elif stat.S_ISREG(status.st_mode):
            yield folder / name, status
        else:
            left_out["file", "a pipe, socket or device"] += 1
    for name, status in folders:
        if _is_internal(name):
            left_out["folder", name if name.lower() in _SYSTEM else "hidden"] += 1
        elif (status.st_dev, status.st_ino) in above:
            left_out["link", "to a folder that contains it"] += 1
        else:
            try:
                yield from _below(folder / name, left_out, above)
            except PermissionError:
                left_out["folder", "no permission"] += 1


def _is_internal(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _unreachable(path: Path, error: OSError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return "link", "to a file that does not exist"
    if error.errno == errno.ELOOP:
        return "link", "in a circle"
    return "link" if path.is_symlink() else "file", (error.strerror or type(error).__name__).lower()


def _unreadable(folder: Path, error: OSError) -> UserError:
    why = (error.strerror or type(error).__name__).lower()
    return UserError(f"cannot read the folder '{shown(folder)}': {why}; change its permissions or set another path")
