"""Batches sliced out of one tensor, in an order that is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.data.epoch_loader import Batch, EpochLoader, LoaderOptions
from lit_gen.data.placement import Placement
from lit_gen.noise import Noise, mix

Redraw = Callable[[Tensor, Noise], Tensor]
"""Draws a random version of a batch, uint8 ``[B, *shape]``, from rows of the sliced tensor and the rows' noise."""

# First words of the seed, so that the streams for shuffling and for redrawing never coincide.
_SHUFFLE, _REDRAW = 1, 2


@dataclass(frozen=True)
class Loader(LoaderOptions):
    """Options of a data module's loaders that few experiments change.

    Args:
        eval_batch_size: Batch size of validation and test over all processes together.
        seed: Seed of the training order and of what is drawn anew in every epoch; never of the splits.
        placement: Where the training split is held: ``auto`` for the memory of a GPU, if it takes at most a tenth of
            what is free there; ``host``. Batches are the same.
    """

    placement: Placement = "auto"


class SliceLoader(EpochLoader):
    """An iterable of batches over one in-memory (or memory-mapped) tensor.

    Batches are selected by an index tensor, never collated item by item, in one of two ways:

    - ``drop_last=True`` (training): global batches of exactly ``batch_size`` rows; the incomplete last one is
      dropped. A split smaller than one batch is one batch. Each global batch is cut into equal contiguous shares, one
      per rank, so the mean over ranks is the mean over the batch.
    - ``drop_last=False`` (evaluation): every row exactly once over all ranks. The rows are spread evenly over
      ``ceil(N / batch_size)`` batches, so that no share is empty; shares may differ by one row.

    A stopped run continues with the same batches on any number of processes; see `EpochLoader`.

    Args:
        x: Examples, uint8 ``[N, *shape]``; or rows that ``redraw`` makes examples of, such as the numbers of windows.
            Batches are on their device.
        label: Classes, int64 ``[N]``, or None.
        batch_size: Number of rows of a global batch, split over the ranks.
        shuffle: Whether the rows are permuted, anew in every epoch, by (seed, epoch); file order if False.
        drop_last: Whether incomplete batches are dropped, see above; ``shuffle`` if None.
        seed: Seed of the order and of ``redraw``.
        rank: Number of this process.
        world_size: Number of processes.
        redraw: Function that draws a random version of each batch, anew in every epoch (dynamic binarization). It is
            given noise of each example and epoch, so the ranks together see what one process sees.
        limit: End of an epoch, as ``Trainer.limit_train_batches``: a number of batches, or a float, a fraction of all.

    Attributes:
        pin_memory: Whether batches are in pinned memory, from which a GPU copies while the host goes on.

    Raises:
        UserError: ``batch_size`` is not divisible by ``world_size``, or there are fewer rows than processes.

    >>> loader = SliceLoader(torch.arange(10, dtype=torch.uint8), batch_size=4, shuffle=False)
    >>> [batch.x.tolist() for batch in loader]
    [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    """

    pin_memory = False

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
        super().__init__(
            len(x),
            batch_size=batch_size,
            drop_last=shuffle if drop_last is None else drop_last,
            seed=seed,
            rank=rank,
            world_size=world_size,
            limit=limit,
        )
        self.x, self.label = x, None if label is None else label.to(x.device)
        self.shuffle, self.redraw = shuffle, redraw
        self._rows = x.reshape(len(x), -1)  # index_select on rows is the fast path

    @override
    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        order = self._permutation(epoch)
        for pos in range(start, self.epoch_length):
            yield self._batch(order, epoch, pos)

    def _permutation(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self.x), device=self.x.device)
        generator = np.random.default_rng((_SHUFFLE, self.seed, epoch))
        order = torch.from_numpy(generator.permutation(len(self.x)))
        return (order.pin_memory() if self.x.is_cuda else order).to(self.x.device, non_blocking=True)

    def _batch(self, order: Tensor, epoch: int, pos: int) -> Batch:
        first, end = self._bounds(pos)
        share = self._share(end - first)
        index = order[first + share.start : first + share.stop]
        x = self._take(index)
        if self.redraw is not None:
            x = self.redraw(x, Noise(mix(_REDRAW, self.seed, epoch), index, x.device))
        label = None if self.label is None else self.label.index_select(0, index)
        batch = Batch(x, label, index)
        return batch.pin_memory() if self.pin_memory else batch

    def _take(self, index: Tensor) -> Tensor:
        return self._rows.index_select(0, index).view(len(index), *self.x.shape[1:])
