"""Images in parquet files, read a row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lit_gen.data.hub import image_content
from lit_gen.data.hub_columns import ImageColumns
from lit_gen.data.image_source import Example
from lit_gen.data.streaming.shards import (
    LastOpened,
    Shards,
    is_empty,
    is_local,
    open_stream,
    opened,
    print_of,
    unreadable_shard,
)
from lit_gen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class ParquetShards(Shards):
    """Parquet files of one split; a piece is a row group.

    The files' footers say how many rows there are, so that nothing else is read before the first image is wanted.
    The last row group that was read is kept, encoded, since a shuffle buffer may end inside it.

    Args:
        files: Paths or addresses of the files, in order.
        names: Their names relative to the data set's folder.
        columns: Names of the columns; ``image`` must be given.
        num_classes: Number of the label column's named classes; None if they have no names.
        split: Name of the split, for messages.

    Raises:
        UserError: A file cannot be read, or lacks a column.
    """

    def __init__(
        self, files: Sequence[str], names: Sequence[str], columns: ImageColumns, num_classes: int | None, split: str
    ) -> None:
        assert columns.image is not None
        self.files, self.columns, self.split = list(files), columns, split
        self.prints = [print_of(name, file) for name, file in zip(names, files, strict=True)]
        self._groups: list[tuple[int, int]] = []
        counts, extremes, missing = [], [], []
        for number, file in enumerate(self.files):
            footer = read_footer(file)
            names_there = footer.schema.to_arrow_schema().names
            for column in filter(None, (columns.image, columns.label)):
                if column not in names_there:
                    raise UserError(f"the shard '{file}' has no column '{column}', it has {', '.join(names_there)}")
            for group in range(footer.num_row_groups):
                found = footer.row_group(group)
                self._groups.append((number, group))
                counts.append(found.num_rows)
                extremes.append(_extremes(found, columns.label))
                if _may_miss(found, columns.image):
                    missing.append(len(counts) - 1)
        self.counts = np.array(counts, np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.counts)])
        self._file: LastOpened[pq.ParquetFile] = LastOpened()
        self._group: LastOpened[pa.Table] = LastOpened()
        self.label_range = self._label_range(extremes, num_classes)
        self.empty = self._empty(missing)

    def read(self, piece: int, rows: np.ndarray) -> list[Example]:
        """Reads the row group, unless it was the last one that was read, and takes some of its rows."""
        try:
            table = self._group(piece, lambda: self._table(piece)).take(rows)
        except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
            raise unreadable_shard(self.files[self._groups[piece][0]], error) from error
        images = table.column(self.columns.image).to_pylist()
        labels = [None] * len(rows) if self.columns.label is None else table.column(self.columns.label).to_pylist()
        where = [f"image {self._starts[piece] + row} of split '{self.split}'" for row in rows]
        return [
            Example(image_content(image), None if label is None else int(label), place)
            for image, label, place in zip(images, labels, where, strict=True)
        ]

    def _table(self, piece: int) -> pa.Table:
        """The encoded images and labels of a row group."""
        import pyarrow.parquet as pq

        number, group = self._groups[piece]
        path = self.files[number]
        file = self._file(number, lambda: pq.ParquetFile(path if is_local(path) else open_stream(path)))
        names = [name for name in (self.columns.image, self.columns.label) if name is not None]
        # Without threads: workers are forked, and each of them has one core.
        return file.read_row_group(group, columns=names, use_threads=False)

    def _label_range(self, extremes: list[tuple[int, int] | None], num_classes: int | None) -> tuple[int, int] | None:
        """The range of the labels, from the files' statistics, or of the names of the classes if they have none."""
        if self.columns.label is None:
            return None
        known = [pair for pair in extremes if pair is not None]
        if len(known) == len(extremes):
            return min(pair[0] for pair in known), max(pair[1] for pair in known)
        if num_classes:
            return 0, num_classes - 1
        low, high = [], []
        for piece in range(len(self.counts)):
            labels = [e.label for e in self.read(piece, np.arange(self.counts[piece])) if e.label is not None]
            low.append(min(labels, default=0))
            high.append(max(labels, default=0))
        return min(low), max(high)

    def _empty(self, pieces: list[int]) -> np.ndarray:
        """Indices of the rows of some pieces that hold no image."""
        found = [np.zeros(0, np.int64)]
        for piece in pieces:
            examples = self.read(piece, np.arange(self.counts[piece]))
            rows = [row for row, example in enumerate(examples) if is_empty(example)]
            found.append(self._starts[piece] + np.array(rows, np.int64))
        return np.concatenate(found)


def read_footer(file: str) -> pq.FileMetaData:
    """What a parquet file says of itself.

    Raises:
        UserError: It is damaged or cannot be opened.
    """
    import pyarrow.parquet as pq

    with opened(file) as stream:
        try:
            return pq.read_metadata(stream)
        except ValueError as error:  # Arrow's errors are ValueErrors
            raise unreadable_shard(file, error) from error


def _column(group: pq.RowGroupMetaData, name: str | None) -> Any:
    """Statistics of a column of a row group, or of the bytes of one that holds images."""
    for i in range(group.num_columns):
        if group.column(i).path_in_schema in (name, f"{name}.bytes"):
            return group.column(i).statistics
    return None


def _extremes(group: pq.RowGroupMetaData, label: str | None) -> tuple[int, int] | None:
    found = None if label is None else _column(group, label)
    return (int(found.min), int(found.max)) if found is not None and found.has_min_max else None


def _may_miss(group: pq.RowGroupMetaData, image: str) -> bool:
    """Whether some rows lack their bytes, as the statistics say; they may hold a path instead."""
    found = _column(group, image)
    return found is not None and found.has_null_count and found.null_count > 0
