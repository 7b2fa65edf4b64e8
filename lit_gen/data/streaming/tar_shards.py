"""Images in tar files laid out as by webdataset: consecutive members with one stem are one example."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np

from lit_gen.data.folder_files import EXTENSIONS
from lit_gen.data.hub_columns import ImageColumns
from lit_gen.data.image_source import Example
from lit_gen.data.streaming.shards import LastOpened, Shards, open_stream, opened, print_of, runs_of, unreadable_shard
from lit_gen.errors import UserError, nearest

_STEM = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")  # as webdataset and `datasets` divide names
_LABELS = ("cls", "cls2", "index", "inx", "id")
"""Fields that hold an integer, as text."""


class TarShards(Shards):
    """Tar files of one split; a piece is a run of their images.

    The members' headers are read once, at construction, and say where each image lies; the images are skipped.

    Args:
        files: Paths or addresses of the tar files, in order; they must not be compressed.
        names: Their names relative to the data set's folder.
        columns: Fields of image and label; None finds the only field of images, and ``cls``.
        split: Name of the split, for messages.

    Raises:
        UserError: A file is damaged, or it does not hold exactly one field of images.
    """

    def __init__(self, files: Sequence[str], names: Sequence[str], columns: ImageColumns, split: str) -> None:
        self.files = list(files)
        self.prints = [print_of(name, file) for name, file in zip(names, files, strict=True)]
        if columns.label is not None and columns.label not in _LABELS:
            raise UserError(
                f"columns.label is '{columns.label}': in tar files it is one of {', '.join(_LABELS)}"
                f"{nearest(columns.label, _LABELS)}"
            )
        field, label = columns.image, columns.label or "cls"
        counts: list[int] = []
        places: list[tuple[int, int]] = []
        labels, keys, empty = [], [], []
        self._pieces: list[tuple[int, int]] = []
        for number, file in enumerate(self.files):
            before = len(places)
            for key, members in _examples(file):
                field = _image_field(members, file) if field is None else field
                offset, size, _ = members.get(field, (0, 0, b""))
                places.append((offset, size))
                labels.append(_integer(members[label][2], f"{key}.{label}", file) if label in members else None)
                keys.append(key)
                if not size:
                    empty.append(len(places) - 1)
            first = before
            for count in runs_of(len(places) - before):
                self._pieces.append((number, first))
                counts.append(count)
                first += count
        if empty and len(empty) == len(places):
            raise UserError(f"split '{split}' has no images in field '{field}'; set columns.image")
        if columns.label is not None and None in labels:
            raise UserError(f"split '{split}' has examples without the field '{label}'; set columns.label")
        self.counts = np.array(counts, np.int64)
        self._places = np.array(places, np.int64).reshape(-1, 2)
        self._labels = None if None in labels else np.array(labels, np.int64)
        if self._labels is not None and len(self._labels):
            self.label_range = int(self._labels.min()), int(self._labels.max())
        self._names = np.array([f"{key}.{field}" for key in keys])  # an array takes less memory than strings
        self.empty = np.array(empty, np.int64)
        self._open: LastOpened[IO[bytes]] = LastOpened()

    def read(self, piece: int, rows: np.ndarray) -> list[Example]:
        """Reads the images from their places."""
        number, first = self._pieces[piece]
        stream, found = self._open(number, lambda: open_stream(self.files[number])), []
        for row in (first + rows).tolist():
            offset, size = self._places[row]
            try:
                stream.seek(offset)
                content = stream.read(size)
            except OSError as error:
                raise unreadable_shard(self.files[number], error) from error
            found.append(Example(content, None if self._labels is None else int(self._labels[row]), self._names[row]))
        return found


Members = dict[str, tuple[int, int, bytes]]
"""Place, size and, for integers, content of an example's fields."""


def _examples(file: str) -> Iterator[tuple[str, Members]]:
    """The examples of a tar file: their stems and their members' places."""
    key, members = "", Members()
    with opened(file) as stream:
        end = stream.seek(0, 2)
        stream.seek(0)
        try:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                at = 0
                for member in archive:
                    at = archive.offset
                    archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all
                    parts = _STEM.match(member.name)
                    if parts is None or not member.isreg() or member.name.rpartition("/")[2].startswith((".", "__")):
                        continue
                    if member.offset_data + member.size > end:
                        raise tarfile.ReadError(f"it ends inside {member.name}")
                    stem, field = parts[1], parts[2]
                    if members and stem != key:
                        yield key, members
                        members = Members()
                    if field in members:
                        raise tarfile.ReadError(f"it holds {member.name} twice")
                    content = _content(archive, member) if field in _LABELS else b""
                    key, members[field] = stem, (member.offset_data, member.size, content)
            stream.seek(at)
            if stream.read(512).strip(b"\0") or end < at + 512:
                raise tarfile.ReadError("it ends without its end mark")
        except tarfile.TarError as error:
            why = f"{error} (compressed tar files have to be unpacked)" if file.endswith(("gz", "xz")) else str(error)
            raise unreadable_shard(file, why) from error
    if members:
        yield key, members


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read()


def _image_field(members: Members, file: str) -> str:
    """The only field of an example that is an image."""
    images = [name for name in members if f".{name.rpartition('.')[2].lower()}" in EXTENSIONS]
    if len(images) != 1:
        found = f"{len(images)} fields of images" if images else "no field of images"
        raise UserError(f"the shard '{file}' has {found} among {', '.join(members)}; set columns.image")
    return images[0]


def _integer(content: bytes, name: str, file: str) -> int:
    try:
        return int(content)
    except ValueError:
        raise UserError(f"'{name}' of the shard '{file}' is no integer: {content[:20]!r}; set columns.label") from None
