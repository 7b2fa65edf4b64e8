"""Examples of a split that are decoded when they are asked for, in place of one tensor of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lit_gen.data.streaming.batch_decoder import Decoded, Decoder
from lit_gen.data.streaming.decode_workers import decoded_in_order


@dataclass(frozen=True)
class StreamedExamples:
    """A sequence of examples with the part of a tensor's interface that scores need; memory is that of one request.

    Args:
        decoder: Reads and decodes the images.
        num_workers: Number of processes that decode for `split`.
        rows: Indices of the images in the split, int64 ``[N]``; None for all of them.
    """

    decoder: Decoder
    num_workers: int = 0
    rows: np.ndarray | None = None

    dtype = torch.uint8

    def __len__(self) -> int:
        return len(self.decoder.shards) if self.rows is None else len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """``[N, *shape]``."""
        transform = self.decoder.transform
        return torch.Size((len(self), transform.channels, transform.size, transform.size))

    def index(self, first: int, end: int) -> np.ndarray:
        """Indices in the split of the examples at some places, int64 ``[end - first]``."""
        return np.arange(first, end) if self.rows is None else self.rows[first:end]

    def __getitem__(self, key: slice | Tensor | int) -> Tensor:
        """Decodes a slice or some rows, uint8 ``[M, *shape]``, or one example.

        Raises:
            UserError: An image cannot be read.
        """
        if isinstance(key, int):
            return self[key : key + 1][0]
        if isinstance(key, slice):
            first, end, step = key.indices(len(self))
            assert step == 1
            return self._decode(self.index(first, max(first, end)))
        rows = key.numpy()
        return self._decode(rows if self.rows is None else self.rows[rows])

    def select(self, rows: Tensor) -> StreamedExamples:
        """Some of the examples, int64 ``[M]``, not decoded yet; in ascending order each piece is read once."""
        chosen = rows.numpy()
        return StreamedExamples(self.decoder, self.num_workers, chosen if self.rows is None else self.rows[chosen])

    def split(self, size: int) -> Iterator[Tensor]:
        """All examples in order, in parts of so many.

        Raises:
            UserError: An image cannot be read.
        """
        for found in self.decoded(size):
            yield found.batch.x

    def decoded(self, size: int) -> Iterator[Decoded]:
        """The same as batches, with what happened to the images."""
        parts = [self.index(first, min(first + size, len(self))) for first in range(0, len(self), size)]
        yield from decoded_in_order(self.decoder, parts, self.num_workers)

    def _decode(self, index: np.ndarray) -> Tensor:
        if not len(index):
            return torch.empty(0, *self.shape[1:], dtype=torch.uint8)
        return self.decoder.batch(self.decoder.read(index), index).checked().batch.x
