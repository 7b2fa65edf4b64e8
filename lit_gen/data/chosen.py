"""Batches of a subset of a split's examples."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import override

from lit_gen.data.epoch_loader import Batch
from lit_gen.data.loader import SliceLoader


class ChosenLoader(SliceLoader):
    """Batches of chosen rows, in their order; each example keeps its index in the whole split.

    Noise that belongs to an example is then the same as if all were scored.

    Args:
        x: All examples, uint8 ``[N, *shape]``.
        label: Classes of all examples, int64 ``[N]``, or None.
        rows: Chosen rows, int64 ``[M]``.
        **more: Further arguments of `SliceLoader`.

    >>> import torch
    >>> x = torch.arange(10, dtype=torch.uint8)
    >>> loader = ChosenLoader(x, rows=torch.tensor([1, 4, 7]), batch_size=2, shuffle=False)
    >>> [(batch.x.tolist(), batch.index.tolist()) for batch in loader]
    [([1], [1]), ([4, 7], [4, 7])]
    """

    def __init__(self, x: Tensor, label: Tensor | None = None, *, rows: Tensor, **more: Any) -> None:
        super().__init__(x[rows], None if label is None else label[rows], **more)
        self.rows = rows

    @override
    def _batch(self, order: Tensor, epoch: int, pos: int) -> Batch:
        batch = super()._batch(order, epoch, pos)
        return batch._replace(index=self.rows[batch.index])
