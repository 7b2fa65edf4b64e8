"""Mean likelihood of a split with its standard error, and the parts of that error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_gen.contract import ExampleValues
from lit_gen.records.error_parts import ErrorParts
from lit_gen.scoring.pareto import pareto_k


@dataclass(frozen=True)
class MeanNats:
    """Mean nats of a split, and their errors in nats.

    Attributes:
        mean: Mean over the examples.
        standard_error: Standard error of the mean, from examples and draws together.
        parts: Its parts.
    """

    mean: float
    standard_error: float
    parts: ErrorParts

    def scaled(self, factor: float) -> MeanNats:
        """The same in another unit, of which ``factor`` make up a nat."""
        examples, draws = (None if e is None else factor * e for e in (self.parts.from_examples, self.parts.from_draws))
        parts = ErrorParts(
            from_examples=examples,
            from_draws=draws,
            group=self.parts.group,
            num_groups=self.parts.num_groups,
            pareto_k=self.parts.pareto_k,
        )
        return MeanNats(factor * self.mean, factor * self.standard_error, parts)


def mean_nats(values: ExampleValues, group: Tensor | None, noun: str = "example") -> MeanNats:
    """The mean of a split's values and its standard error over independent groups of examples.

    Draws are independent between examples, so the spread over groups contains them. With several estimates of each
    example, their part is ``sqrt(sum of variances) / N``, and that of the examples is what is left.

    Examples of one group, such as windows of one recording, are not independent: their deviations from the mean are
    added up before they are squared, as in a cluster-robust error.

    Args:
        values: Nats of N examples.
        group: Group of each example, int64 ``[N]``; None if all are independent.
        noun: Name of a group.

    References:
        Liang, Zeger: Longitudinal data analysis using generalized linear models, 1986 (the error over groups).
        Miller: Adding Error Bars to Evals, 2024, arXiv:2411.00640, section 2.2.
    """
    nats, n = values.nats, len(values)
    mean = float(nats.mean())
    sums = nats - mean
    if group is not None:
        members = group.unique(return_inverse=True)[1]
        sums = torch.zeros(int(members.max()) + 1, dtype=torch.float64).index_add_(0, members, sums)
    count = len(sums)
    total = math.sqrt(float(sums.square().sum()) * count / (count - 1)) / n if count > 1 else math.nan
    draws = None if values.variance is None else math.sqrt(float(values.variance.sum())) / n
    parts = ErrorParts(
        from_examples=None if draws is None else math.sqrt(max(0.0, total**2 - draws**2)),
        from_draws=draws,
        group=noun if group is not None else "example",
        num_groups=count if group is not None else None,
        pareto_k=heaviest_tail(values),
    )
    return MeanNats(mean, total, parts)


def heaviest_tail(values: ExampleValues) -> float | None:
    """The larger Pareto shape of two tails: of the nats over examples, and of their deviations over draws."""
    tails = [pareto_k(values.nats)]
    if values.variance is not None:
        tails.append(pareto_k(values.variance.sqrt()))
    found = [tail for tail in tails if tail is not None]
    return max(found, default=None)
