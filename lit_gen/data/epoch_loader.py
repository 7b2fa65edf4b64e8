"""What every loader of batches does: counts epochs, knows its place in one, and divides batches among processes."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lit_gen.errors import UserError


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

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, from which a GPU copies while the host goes on."""
        return Batch(*(None if part is None else part.pin_memory() for part in self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class LoaderOptions:
    """Options of the loaders of every data module.

    Args:
        eval_batch_size: Batch size of validation and test over all processes together.
        seed: Seed of the training order; never of the splits.
    """

    eval_batch_size: int = 250
    seed: int = 0


class EpochLoader(abc.ABC):
    """An iterable of batches that can go on in the middle of an epoch.

    Each pass over the loader is the next epoch; the loader counts them itself. ``state_dict`` holds the position of
    the next batch, so Lightning (which saves and restores it) continues mid-epoch with the same batches as an
    uninterrupted run. Lightning's own epoch number does not serve: after a stop by ``max_steps`` it has already
    counted the unfinished epoch.

    Args:
        num_examples: Number of examples of the split.
        batch_size: Number of examples of a global batch, split over the ranks.
        drop_last: Whether the incomplete last batch of an epoch is dropped.
        seed: Seed of the order.
        rank: Number of this process.
        world_size: Number of processes.
        limit: End of an epoch, as ``Trainer.limit_train_batches``: a number of batches, or a float, a fraction of all.

    Raises:
        UserError: ``batch_size`` is not divisible by ``world_size``, or there are fewer examples than processes.
    """

    def __init__(
        self,
        num_examples: int,
        *,
        batch_size: int,
        drop_last: bool,
        seed: int,
        rank: int,
        world_size: int,
        limit: int | float,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size is {batch_size}: it must be at least 1")
        if drop_last and batch_size % world_size:
            near = math.ceil(batch_size / world_size) * world_size
            raise UserError(
                f"batch_size {batch_size} is the global batch size and is not divisible by {world_size} "
                f"processes; set batch_size to {near}"
            )
        if num_examples < world_size:
            raise UserError(
                f"a split of {num_examples} examples cannot be shared by {world_size} processes; "
                "use fewer processes"
            )
        self.num_examples, self.batch_size, self.seed = num_examples, batch_size, seed
        self.drop_last, self.rank, self.world_size = drop_last, rank, world_size
        self._epoch, self._pos = 0, 0  # the next batch
        self._resuming = False
        self._epoch_length = int(limit * len(self)) if isinstance(limit, float) else min(limit, len(self))
        self._saved_order: dict[str, int] = {}

    def __len__(self) -> int:
        """Batches in the whole split, the same on every rank."""
        n = self.num_examples
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
        return {"seed": self.seed, "batch_size": self.batch_size, "num_examples": self.num_examples}

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

    @abc.abstractmethod
    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """This process's share of the batches of an epoch, from batch ``start`` to the epoch's end or beyond it."""

    def _epoch_batches(self) -> Iterator[Batch]:
        epoch, start = self._start()
        places = range(start, self._epoch_length)
        for pos, batch in zip(places, self._batches(epoch, start) if places else (), strict=False):
            self._epoch, self._pos = epoch, pos + 1
            yield batch

    def _bounds(self, pos: int) -> tuple[int, int]:
        """First position and end of global batch ``pos``."""
        n = self.num_examples
        if self.drop_last:
            # equal shares even of a split smaller than one batch: the mean over ranks must be the batch's mean
            size = min(self.batch_size, n - n % self.world_size)
            return pos * size, (pos + 1) * size
        return pos * n // len(self), (pos + 1) * n // len(self)

    def _share(self, size: int) -> slice:
        """This process's part of a global batch of this size."""
        return slice(self.rank * size // self.world_size, (self.rank + 1) * size // self.world_size)
