"""Image files below a folder as shards, laid out as `FolderImages` reads them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from lit_gen.data.folder_files import shown
from lit_gen.data.folder_splits import Layout
from lit_gen.data.image_source import Example
from lit_gen.data.module import SplitName
from lit_gen.data.streaming.shards import RUN, ShardPrint, Shards, print_of, runs_of


class FileShards(Shards):
    """Image files of one split of a folder; a piece is a run of them.

    The fingerprint covers all names and sizes, and the head of the first file of each run.

    Args:
        layout: Files of the folder.
        name: The split.
        folder: The folder.

    Raises:
        UserError: A file cannot be read.
    """

    def __init__(self, layout: Layout, name: SplitName, folder: Path) -> None:
        files = layout.files[name]
        self.folder = folder
        # Strings of one array: a list of paths would take several times the memory.
        # Slices of strings: `relative_to` takes 10 microseconds, ten times as long.
        paths = [str(file) for file in files]
        self._names = np.array([path[len(str(folder)) + 1 :] for path in paths])
        self._labels = None
        if name in layout.labelled:
            number = {label: i for i, label in enumerate(layout.classes)}
            begin = len(str(layout.roots[name])) + 1
            self._labels = np.array([number[path[begin:].partition("/")[0]] for path in paths], np.int64)
            self.label_range = int(self._labels.min()), int(self._labels.max())
        self.counts = np.array(runs_of(len(files)), np.int64)
        sizes = [os.stat(path).st_size for path in paths]
        self.empty = np.flatnonzero(np.array(sizes) == 0)
        self.prints = []
        for first in range(0, len(files), RUN):
            named = zip(self._names[first : first + RUN].tolist(), sizes[first : first + RUN], strict=True)
            digest = hashlib.sha256(repr(list(named)).encode("utf-8", "surrogateescape")).hexdigest()
            head = print_of(shown(files[first].relative_to(folder)), str(files[first]))
            self.prints.append(ShardPrint(f"{head.name} {digest}", sum(sizes[first : first + RUN]), head.head))

    def read(self, piece: int, rows: np.ndarray) -> list[Example]:
        """Names the files; decoding opens them."""
        return [self._example(piece * RUN + row) for row in rows.tolist()]

    def digests(self) -> list[bytes]:
        """SHA-256 of each file's name, by which files are assigned to splits without being read."""
        return [hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in self._names.tolist()]

    def _example(self, row: int) -> Example:
        name = str(self._names[row])
        return Example(self.folder / name, None if self._labels is None else int(self._labels[row]), shown(name))
