"""Batches of a split that is larger than memory, in an order that is a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from typing_extensions import override

from lit_gen.data.epoch_loader import Batch, EpochLoader, LoaderOptions
from lit_gen.data.image_source import unreadable_words
from lit_gen.data.streaming.batch_decoder import Decoded
from lit_gen.data.streaming.decode_workers import decoded_in_blocks, decoded_in_order
from lit_gen.data.streaming.piece_order import BufferedOrder
from lit_gen.data.streaming.streamed_examples import StreamedExamples
from lit_gen.errors import UserError, print_warning


@dataclass(frozen=True)
class Streaming(LoaderOptions):
    """Options of the loaders of streamed data.

    Args:
        eval_batch_size: Batch size of validation and test over all processes together.
        seed: Seed of the training order; never of the splits.
        num_workers: Number of processes that read and decode, for each training process; 0 decodes in that process
            itself. The order of the training images depends on it, so a run is resumed with the same number.
        buffer: Number of encoded images in each worker's shuffle buffer, which are permuted together.
        max_held_out_gb: Size in 10**9 bytes of decoded validation and test images together that are held in memory;
            what would exceed it is streamed too.
    """

    num_workers: int = 0
    buffer: int = 4096
    max_held_out_gb: float = 2.0

    def check(self, name: str) -> None:
        """Validates the fields.

        Args:
            name: What messages call the data set.

        Raises:
            UserError: A field is out of range.
        """
        for option, least in (("num_workers", 0), ("buffer", 1), ("max_held_out_gb", 0)):
            if getattr(self, option) < least:
                value = getattr(self, option)
                raise UserError(f"loader.{option} of data set '{name}' is {value}: it must be at least {least}")


class StreamLoader(EpochLoader):
    """Batches of streamed examples; the counterpart of `SliceLoader`.

    In file order the batches are those of `SliceLoader`. Shuffled, they have the same sizes and number, and each
    example occurs at most once an epoch (exactly once if the batches divide them evenly), but the order is that of
    `BufferedOrder` and depends on the number of processes and workers.

    An unreadable image of a shuffled batch is replaced by another one of the batch if it may be left out, and counted;
    in file order it is always an error, since the examples' number would change.

    Args:
        examples: The examples.
        batch_size: Number of examples of a global batch, split over the ranks.
        streaming: Number of workers, size of the shuffle buffer, and seed.
        shuffle: Whether the examples are shuffled; file order if False.
        drop_last: Whether incomplete batches are dropped; ``shuffle`` if None.
        rank: Number of this process.
        world_size: Number of processes.
        limit: End of an epoch, as ``Trainer.limit_train_batches``.
        pin_memory: Whether batches lie in page-locked memory.

    Raises:
        UserError: ``batch_size`` is not divisible by ``world_size``, or there are fewer pieces of shards than workers.
    """

    def __init__(
        self,
        examples: StreamedExamples,
        *,
        batch_size: int,
        streaming: Streaming,
        shuffle: bool,
        drop_last: bool | None = None,
        rank: int = 0,
        world_size: int = 1,
        limit: int | float = 1.0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            len(examples),
            batch_size=batch_size,
            drop_last=shuffle if drop_last is None else drop_last,
            seed=streaming.seed,
            rank=rank,
            world_size=world_size,
            limit=limit,
        )
        if shuffle:
            _check_pieces(examples, streaming.num_workers, world_size)
        self.examples, self.streaming, self.shuffle, self.pin_memory = examples, streaming, shuffle, pin_memory
        self.skipped = 0

    @override
    def _order(self) -> dict[str, int]:
        order = super()._order()
        if self.shuffle:
            order |= {"buffer": self.streaming.buffer, "num_workers": max(1, self.streaming.num_workers)}
            order["processes"] = self.world_size
        return order

    @override
    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        found = self._shuffled(epoch, start) if self.shuffle else self._in_file_order(start)
        unreadable: list[str] = []
        for decoded in found:
            unreadable += decoded.unreadable
            if decoded.unreadable and not self.shuffle:
                raise UserError(
                    f"{unreadable_words(decoded.unreadable)}; in a split that is streamed each image must be readable:"
                    " repair it, or raise loader.max_held_out_gb"
                )
            if decoded.unreadable and not self.skipped:
                print_warning(f"data: {unreadable_words(unreadable)}; replaced by others of their batch")
            self.skipped += len(decoded.unreadable)
            yield decoded.batch
        if unreadable:
            print_warning(f"data: {len(unreadable)} unreadable images were left out of epoch {epoch}")

    def _shuffled(self, epoch: int, start: int) -> Iterator[Decoded]:
        first, end = self._bounds(0)
        share = self._share(end - first)
        order = BufferedOrder(
            self.examples.decoder.shards.counts,
            num_batches=len(self),
            batch_size=share.stop - share.start,
            buffer=self.streaming.buffer,
            seed=self.seed,
        )
        workers = self.streaming.num_workers
        return decoded_in_blocks(self.examples.decoder, order, epoch, self.rank, start, workers, self.pin_memory)

    def _in_file_order(self, start: int) -> Iterator[Decoded]:
        parts = []
        for pos in range(start, self.epoch_length):
            first, end = self._bounds(pos)
            share = self._share(end - first)
            parts.append(self.examples.index(first + share.start, first + share.stop))
        return decoded_in_order(self.examples.decoder, parts, self.streaming.num_workers, self.pin_memory)


def _check_pieces(examples: StreamedExamples, num_workers: int, world_size: int) -> None:
    """Validates that each worker has a piece of its own.

    Raises:
        UserError: There are fewer pieces.
    """
    pieces, wanted = len(examples.decoder.shards.counts), max(1, num_workers) * world_size
    if pieces < wanted:
        raise UserError(
            f"the training split has {pieces} {'shard' if pieces == 1 else 'shards'} (row groups of parquet files, or "
            f"runs of images of tar files and folders), fewer than {world_size} processes x {max(1, num_workers)} "
            "workers; lower loader.num_workers, or write the data in more shards"
        )
