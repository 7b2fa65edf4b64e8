"""Negative log-likelihoods of the examples of a split, collected batch by batch on all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lit_gen.likelihood import Kind, Likelihood

Reduce = Callable[[Tensor, str], Tensor]
"""Function from a tensor and ``"sum"`` or ``"max"`` to the tensor reduced over all processes."""


class ExampleValues:
    """Nats of examples by their position in the split.

    Attributes:
        index: Positions in the split, ascending, int64 ``[N]``.
        replicates: Independent estimates of the negative log-likelihoods, float64 ``[R, N]``; not finite where the
            model gives none.
        kind: Kind of the values; None if this process has seen no example.
        estimator: Name of the estimator.
    """

    def __init__(self) -> None:
        self.index = torch.zeros(0, dtype=torch.int64)
        self.replicates = torch.zeros(1, 0, dtype=torch.float64)
        self.kind: Kind | None = None
        self.estimator = ""
        self._batches: list[Tensor] = []

    def update(self, index: Tensor, replicates: Sequence[Likelihood]) -> None:
        """Adds a batch: positions int64 ``[B]``, and independent estimates of their likelihood."""
        self.kind, self.estimator = replicates[0].kind, replicates[0].estimator
        nats = [replicate.nats.detach().double().cpu() for replicate in replicates]
        self._batches.append(torch.stack([index.double().cpu(), *nats]))

    def finish(self, reduce: Reduce) -> None:
        """Combines the batches of all processes.

        Raises:
            RuntimeError: If an example was given twice.
        """
        mine = torch.cat(self._batches, 1) if self._batches else torch.zeros(1, 0, dtype=torch.float64)
        rows = mine[0].long()
        sizes = reduce(torch.tensor([int(rows.max()) + 1 if len(rows) else 0, len(mine) - 1]), "max")
        size, replicates = sizes.tolist()
        table = torch.zeros(1 + replicates, size, dtype=torch.float64)
        if len(rows):
            table.index_add_(1, rows, torch.cat([torch.ones(1, len(rows), dtype=torch.float64), mine[1:]]))
        table = reduce(table, "sum")
        count = table[0]
        if bool((count > 1).any()):
            raise RuntimeError(f"example {int(count.argmax())} was scored {int(count.max())} times")
        self.index = count.nonzero().flatten()
        self.replicates = table[1:, self.index]
        self._batches.clear()

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.index)

    @property
    def nats(self) -> Tensor:
        """Means over the replicates, ``[N]``."""
        return self.replicates.mean(0)

    @property
    def variance(self) -> Tensor | None:
        """Variances of :attr:`nats` over draws, unbiased, ``[N]``; None if there is one estimate alone."""
        if self.kind == "exact":
            return torch.zeros_like(self.replicates[0])
        number = len(self.replicates)
        return None if number == 1 else self.replicates.var(0) / number

    @property
    def non_finite(self) -> int:
        """Number of examples without a finite likelihood."""
        return int((~self.nats.isfinite()).sum())
