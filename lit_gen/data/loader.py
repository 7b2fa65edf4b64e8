"""Batches sliced out of one tensor, in an order that is a pure function of (seed, epoch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lit_gen.errors import UserError

Redraw = Callable[[Tensor, np.random.Generator], Tensor]
"""Draws a random version of a batch, uint8 ``[B, *shape]``, from rows of the sliced tensor and a generator."""

# First words of the seed, so that the streams for shuffling and for redrawing never coincide.
_SHUFFLE, _REDRAW = 1, 2


class Batch(NamedTuple):
    """What a loader yields, and so what ``training_step`` receives.

    Attributes:
        x: Integers in {0..num_levels-1}, uint8 ``[B, *shape]``.
        label: Classes, int64 ``[B]``; None if the data has no labels.
        index: Positions in the split, int64 ``[B]``: the identity of each example.
    """

    x: Tensor
    label: Tensor | None
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which has no use here


@dataclass(frozen=True)
class Loader:
    """Options of a data module's loaders that few experiments change.

    Args:
        eval_batch_size: Batch size of validation and test over all processes together.
        seed: Seed of the training order and of what is drawn anew in every epoch; never of the splits.
    """

    eval_batch_size: int = 250
    seed: int = 0


class SliceLoader:
    """An iterable of batches over one in-memory (or memory-mapped) tensor.

    Batches are selected by an index tensor, never collated item by item, in one of two ways:

    - ``drop_last=True`` (training): global batches of exactly ``batch_size`` rows; the incomplete last one is
      dropped. A split smaller than one batch is one batch. Each global batch is cut into equal contiguous shares, one
      per rank, so the mean over ranks is the mean over the batch.
    - ``drop_last=False`` (evaluation): every row exactly once over all ranks. The rows are spread evenly over
      ``ceil(N / batch_size)`` batches, so that no share is empty; shares may differ by one row.

    Each pass over the loader is the next epoch; the loader counts them itself. ``state_dict`` holds the position of
    the next batch, so Lightning (which saves and restores it) continues mid-epoch with the same batches as an
    uninterrupted run, for any world size. Lightning's own epoch number does not serve: after a stop by ``max_steps``
    it has already counted the unfinished epoch.

    Args:
        x: Examples, uint8 ``[N, *shape]``; or rows that ``redraw`` makes examples of, such as the numbers of windows.
        label: Classes, int64 ``[N]``, or None.
        batch_size: Number of rows of a global batch, split over the ranks.
        shuffle: Whether the rows are permuted, anew in every epoch, by (seed, epoch); file order if False.
        drop_last: Whether incomplete batches are dropped, see above; ``shuffle`` if None.
        seed: Seed of the order and of ``redraw``.
        rank: Number of this process.
        world_size: Number of processes.
        redraw: Function that draws a random version of each batch, anew in every epoch (dynamic binarization). It is
            given the global batch and a generator keyed by (seed, epoch, batch), so the ranks together see what one
            process sees.
        limit: End of an epoch, as ``Trainer.limit_train_batches``: a number of batches, or a float, a fraction of all.

    Raises:
        UserError: ``batch_size`` is not divisible by ``world_size``, or there are fewer rows than processes.

    >>> loader = SliceLoader(torch.arange(10, dtype=torch.uint8), batch_size=4, shuffle=False)
    >>> [batch.x.tolist() for batch in loader]
    [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    """

    def __init__(
        self,
        x: Tensor,
        label: Tensor | None = None,
        *,
        batch_size: int,
        shuffle: bool,
        drop_last: bool | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        redraw: Redraw | None = None,
        limit: int | float = 1.0,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size is {batch_size}: it must be at least 1")
        drop_last = shuffle if drop_last is None else drop_last
        if drop_last and batch_size % world_size:
            near = math.ceil(batch_size / world_size) * world_size
            raise UserError(
                f"batch_size {batch_size} is the global batch size and is not divisible by {world_size} "
                f"processes; set batch_size to {near}"
            )
        if len(x) < world_size:
            raise UserError(
                f"a split of {len(x)} examples cannot be shared by {world_size} processes; "
                "use fewer processes"
            )
        self.x, self.label = x, label
        self.batch_size, self.seed = batch_size, seed
        self.shuffle, self.drop_last = shuffle, drop_last
        self.rank, self.world_size = rank, world_size
        self.redraw = redraw
        self._rows = x.reshape(len(x), -1)  # index_select on rows is the fast path
        self._epoch, self._pos = 0, 0  # the next batch
        self._resuming = False
        self._epoch_length = int(limit * len(self)) if isinstance(limit, float) else min(limit, len(self))
        self._saved_order: dict[str, int] = {}

    def __len__(self) -> int:
        """Batches in the whole split, the same on every rank."""
        n = len(self.x)
        if self.drop_last:
            return max(1, n // self.batch_size)
        return min(math.ceil(n / self.batch_size), n // self.world_size)

    @property
    def epoch_length(self) -> int:
        """Batches in an epoch, as limited, the same on every rank."""
        return self._epoch_length

    def __iter__(self) -> Iterator[Batch]:
        # A generator: its body starts at the first `next`, so an iterator that is not used counts no epoch.
        return self._epoch_batches()

    def set_epoch(self, epoch: int) -> None:
        """Makes ``epoch`` the next pass, from its first batch."""
        self._epoch, self._pos, self._resuming = int(epoch), 0, False

    def state_dict(self) -> dict[str, int]:
        """Position of the next batch (``epoch``, ``pos`` in global batches), and the order of the data it refers to."""
        return {"epoch": self._epoch, "pos": self._pos, **self._order()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues from a ``state_dict``."""
        self._epoch, self._pos, self._resuming = int(state["epoch"]), int(state["pos"]), True
        self._saved_order = {name: int(state[name]) for name in self._order()}

    def _order(self) -> dict[str, int]:
        return {"seed": self.seed, "batch_size": self.batch_size, "num_examples": len(self.x)}

    def _start(self) -> tuple[int, int]:
        """Epoch and first batch of the pass that begins now."""
        if self._resuming and 0 < self._pos < self._epoch_length and self._saved_order != self._order():
            now = self._order()
            differ = [
                f"{key} was {was}, is {now[key]}" for key, was in self._saved_order.items() if was != now[key]
            ]
            raise UserError(
                f"the checkpoint stopped inside epoch {self._epoch} of another order of the data "
                f"({', '.join(differ)}); resume with the former values"
            )
        if self._pos >= self._epoch_length or (self._pos > 0 and not self._resuming):
            self._epoch, self._pos = self._epoch + 1, 0
        self._resuming = False
        return self._epoch, self._pos

    def _epoch_batches(self) -> Iterator[Batch]:
        epoch, start = self._start()
        order = self._permutation(epoch)
        for pos in range(start, self._epoch_length):
            batch = self._batch(order, epoch, pos)
            self._epoch, self._pos = epoch, pos + 1
            yield batch

    def _permutation(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self.x))
        generator = np.random.default_rng((_SHUFFLE, self.seed, epoch))
        return torch.from_numpy(generator.permutation(len(self.x)))

    def _bounds(self, pos: int) -> tuple[int, int]:
        """First row and end of global batch ``pos``."""
        n = len(self.x)
        if self.drop_last:
            # equal shares even of a split smaller than one batch: the mean over ranks must be the batch's mean
            size = min(self.batch_size, n - n % self.world_size)
            return pos * size, (pos + 1) * size
        return pos * n // len(self), (pos + 1) * n // len(self)

    def _batch(self, order: Tensor, epoch: int, pos: int) -> Batch:
        first, end = self._bounds(pos)
        size = end - first
        share = slice(self.rank * size // self.world_size, (self.rank + 1) * size // self.world_size)
        index = order[first:end]
        if self.redraw is None:
            index = index[share]
            x = self._take(index)
        else:
            generator = np.random.default_rng((_REDRAW, self.seed, epoch, pos))
            x = self.redraw(self._take(index), generator)[share]
            index = index[share]
        label = None if self.label is None else self.label.index_select(0, index)
        return Batch(x, label, index)

    def _take(self, index: Tensor) -> Tensor:
        return self._rows.index_select(0, index).view(len(index), *self.x.shape[1:])
