"""Processes that read and decode batches; what they have done arrives in the order of the batches."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from lit_gen.data.streaming.batch_decoder import Decoded, Decoder
from lit_gen.data.streaming.piece_order import BufferedOrder
from lit_gen.errors import UserError


def decoded_in_order(
    decoder: Decoder, parts: Sequence[np.ndarray], num_workers: int, pin_memory: bool = False
) -> Iterator[Decoded]:
    """Batches of given images.

    Args:
        decoder: Reads and decodes the images.
        parts: Indices of each batch's images.
        num_workers: Number of processes; 0 decodes in this one.
        pin_memory: Whether batches lie in page-locked memory, from which a GPU copies without waiting.

    Raises:
        UserError: An image cannot be read, or does not fit.
    """
    for found in _loader(_Parts(decoder, parts), num_workers, pin_memory):
        yield found.checked()


def decoded_in_blocks(
    decoder: Decoder,
    order: BufferedOrder,
    epoch: int,
    rank: int,
    first: int,
    num_workers: int,
    pin_memory: bool = False,
) -> Iterator[Decoded]:
    """One process's share of the batches of a shuffled epoch.

    Args:
        decoder: Reads and decodes the images.
        order: Order of the images.
        epoch: Number of the epoch.
        rank: Number of the process.
        first: Number of the first batch.
        num_workers: Number of workers; 0 decodes in this process.
        pin_memory: Whether batches lie in page-locked memory, from which a GPU copies without waiting.

    Raises:
        UserError: An image cannot be read, or does not fit.
    """
    for found in _loader(_Blocks(decoder, order, epoch, rank, first), num_workers, pin_memory):
        yield found.checked()


class _Parts(Dataset[Decoded]):
    """Batch i holds the images of part i."""

    def __init__(self, decoder: Decoder, parts: Sequence[np.ndarray]) -> None:
        self.decoder, self.parts = decoder, parts

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> Decoded:
        index = self.parts[number]
        try:
            return self.decoder.batch(self.decoder.read(index), index)
        except UserError as error:
            return Decoded(error=str(error))


class _Blocks(IterableDataset[Decoded]):
    """A worker's batches of a shuffled epoch."""

    def __init__(self, decoder: Decoder, order: BufferedOrder, epoch: int, rank: int, first: int) -> None:
        self.decoder, self.order = decoder, order
        self.epoch, self.rank, self.first = epoch, rank, first

    def __iter__(self) -> Iterator[Decoded]:
        worker = get_worker_info()
        number, total = (0, 1) if worker is None else (worker.id, worker.num_workers)
        # The DataLoader asks its worker 0 first, whatever the place in the epoch.
        lane = (self.first + number) % total
        done = len(range(lane, self.first, total))
        try:
            for index, batches in self.order.blocks(self.epoch, self.rank, lane, total, done):
                held = self.decoder.read(index)
                for rows in batches:
                    yield self.decoder.batch([held[row] for row in rows], index[rows], refill=True)
        except UserError as error:
            yield Decoded(error=str(error))


def _loader(dataset: Dataset[Decoded], num_workers: int, pin_memory: bool) -> DataLoader[Decoded]:
    return DataLoader(
        dataset,
        batch_size=None,
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate_fn=_unchanged,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # the DataLoader draws a seed, and would draw it from training's generator
    )


def _unchanged(found: Any) -> Any:
    return found


def _start_worker(_: int) -> None:
    """A forked process has its parent's handlers of signals and its connections."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        import fsspec.asyn
    except ImportError:
        return
    fsspec.asyn.reset_lock()
    fsspec.asyn.iothread[0] = fsspec.asyn.loop[0] = None
