"""Batches of some of a split's examples."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_gen.data.loader import Batch, SliceLoader


class ChosenLoader(SliceLoader):
    """Batches of chosen rows, in their order; each example keeps the identity that it has in the whole.

    Noise that belongs to an example is then what it would be had all been scored.

    Args:
        x: uint8 [N, *shape], the whole.
        label: int64 [N] or None.
        rows: int64 [M], those chosen.
        more: of :class:`SliceLoader`.

    >>> import torch
    >>> x = torch.arange(10, dtype=torch.uint8)
    >>> loader = ChosenLoader(x, rows=torch.tensor([1, 4, 7]), batch_size=2, shuffle=False)
    >>> [(batch.x.tolist(), batch.index.tolist()) for batch in loader]
    [([1], [1]), ([4, 7], [4, 7])]
    """

    def __init__(self, x: Tensor, label: Tensor | None = None, *, rows: Tensor, **more: Any) -> None:
        super().__init__(x[rows], None if label is None else label[rows], **more)
        self.rows = rows

    def _batch(self, order: Tensor, epoch: int, pos: int) -> Batch:
        batch = super()._batch(order, epoch, pos)
        return batch._replace(index=self.rows[batch.index])
