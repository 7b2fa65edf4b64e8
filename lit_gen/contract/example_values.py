"""Negative log-likelihoods of the examples of a split, collected batch by batch on all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lit_gen.likelihood import Kind, Likelihood

Reduce = Callable[[Tensor, str], Tensor]
"""Function from a tensor and ``"sum"`` or ``"max"`` to the tensor reduced over all processes."""


def mean_of(replicates: Sequence[Likelihood]) -> tuple[Likelihood, Tensor | None]:
    """Mean of independent estimates of the same examples, and an unbiased estimate of its variance, ``[B]``.

    The variance is zero for exact values, and None for one estimate alone.
    """
    first = replicates[0]
    if len(replicates) == 1:
        return first, torch.zeros_like(first.nats, dtype=torch.float64) if first.kind == "exact" else None
    nats = torch.stack([replicate.nats.double().cpu() for replicate in replicates])
    parts = {
        name: torch.stack([(replicate.parts or {})[name] for replicate in replicates]).mean(0)
        for name in first.parts or {}
    }
    mean = Likelihood(nats.mean(0), first.kind, first.estimator, parts or None)
    return mean, nats.var(0) / len(replicates)


class ExampleValues:
    """Nats of examples by their position in the split.

    Attributes:
        index: Positions in the split, ascending, int64 ``[N]``.
        nats: Negative log-likelihoods, float64 ``[N]``; not finite where the model gives none.
        variance: Variances of ``nats`` over the estimator's draws, float64 ``[N]``; None if unknown.
        kind: Kind of the values; None if this process has seen no example.
        estimator: Name of the estimator.
    """

    def __init__(self) -> None:
        self.index = torch.zeros(0, dtype=torch.int64)
        self.nats = torch.zeros(0, dtype=torch.float64)
        self.variance: Tensor | None = None
        self.kind: Kind | None = None
        self.estimator = ""
        self._batches: list[Tensor] = []

    def update(self, index: Tensor, likelihood: Likelihood, variance: Tensor | None) -> None:
        """Adds a batch: positions int64 ``[B]``, their likelihood, and its variance over draws ``[B]``."""
        self.kind, self.estimator = likelihood.kind, likelihood.estimator
        nats = likelihood.nats.detach().double().cpu()
        spread = torch.full_like(nats, torch.nan) if variance is None else variance.detach().double().cpu()
        self._batches.append(torch.stack([index.double().cpu(), nats, spread]))

    def finish(self, reduce: Reduce) -> None:
        """Combines the batches of all processes.

        Raises:
            RuntimeError: If an example was given twice.
        """
        index, nats, variance = torch.cat([torch.zeros(3, 0, dtype=torch.float64), *self._batches], 1)
        rows = index.long()
        size = int(reduce(torch.tensor(int(rows.max()) + 1 if len(rows) else 0), "max"))
        table = torch.zeros(3, size, dtype=torch.float64)
        table.index_add_(1, rows, torch.stack([torch.ones_like(nats), nats, variance]))
        count, total, spread = reduce(table, "sum")
        if bool((count > 1).any()):
            raise RuntimeError(f"example {int(count.argmax())} was scored {int(count.max())} times")
        self.index = count.nonzero().flatten()
        self.nats, spread = total[self.index], spread[self.index]
        self.variance = None if bool(spread.isnan().any()) else spread
        self._batches.clear()

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.index)

    @property
    def non_finite(self) -> int:
        """Number of examples without a finite likelihood."""
        return int((~self.nats.isfinite()).sum())
