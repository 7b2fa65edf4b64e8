"""The order of a streamed training epoch: pieces are permuted, then images within a buffer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# First words of the seed, so that no stream coincides with another or with those of `loader`.
_PIECES, _BUFFER = 3, 4


class Block(NamedTuple):
    """What a shuffle buffer holds at one time.

    Attributes:
        images: Indices of its images in the order in which they are read, int64 ``[M]``.
        batches: Positions in ``images`` of each batch's images, int64 ``[number of batches, batch size]``.
    """

    images: np.ndarray
    batches: np.ndarray


@dataclass(frozen=True)
class BufferedOrder:
    """An order of images that is read piece by piece and is a pure function of its arguments.

    In each epoch the pieces are permuted. Their images, one after another, are divided into equal consecutive ranges,
    one per process, and each range into one per worker. A worker fills a buffer, permutes it, and makes batches of
    all that it holds before it reads on. So a place in an epoch is found without reading what lies before it, and a
    resumed run reads again at most one buffer. Batches go round the workers: batch p is made by worker
    ``p % num_workers``.

    Args:
        counts: Number of images of each piece, int64 ``[num_pieces]``.
        num_batches: Number of batches of an epoch.
        batch_size: Number of images in one process's share of a batch.
        buffer: Number of images that are permuted together, at least one batch.
        seed: Seed of the order.
    """

    counts: np.ndarray
    num_batches: int
    batch_size: int
    buffer: int
    seed: int

    def blocks(self, epoch: int, rank: int, worker: int, num_workers: int, first: int = 0) -> Iterator[Block]:
        """The blocks of a worker in an epoch.

        Args:
            epoch: Number of the epoch.
            rank: Number of the process.
            worker: Number of the worker.
            num_workers: Number of workers of each process.
            first: Number of the worker's batches that are left out at the beginning.
        """
        pieces = np.random.default_rng((_PIECES, self.seed, epoch)).permutation(len(self.counts))
        ends = np.cumsum(self.counts[pieces])
        starts = (np.cumsum(self.counts) - self.counts)[pieces]
        own = [len(range(number, self.num_batches, num_workers)) for number in range(worker + 1)]
        begin = (rank * self.num_batches + sum(own[:-1])) * self.batch_size
        most = max(1, self.buffer // self.batch_size)
        for block in range(first // most, math.ceil(own[-1] / most)):
            number = min(most, own[-1] - block * most)
            at = begin + block * most * self.batch_size
            index = _between(starts, ends, at, at + number * self.batch_size)
            generator = np.random.default_rng((_BUFFER, self.seed, epoch, rank, worker, block))
            batches = generator.permutation(len(index)).reshape(number, self.batch_size)
            yield Block(index, batches[max(0, first - block * most) :])


def _between(starts: np.ndarray, ends: np.ndarray, begin: int, end: int) -> np.ndarray:
    """Indices at the places ``begin`` to ``end`` of pieces that lie one after another."""
    first = int(np.searchsorted(ends, begin, side="right"))
    last = int(np.searchsorted(ends, end, side="left"))
    parts = []
    for piece in range(first, last + 1):
        before = int(ends[piece - 1]) if piece else 0
        low, high = max(begin, before), min(end, int(ends[piece]))
        parts.append(np.arange(low, high) - before + starts[piece])
    return np.concatenate(parts)
