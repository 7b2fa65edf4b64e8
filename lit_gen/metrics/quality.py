"""Scores of a sampler: statistics of its samples' features with standard errors, on any number of processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from lit_gen.errors import UserError
from lit_gen.metrics.factory import build
from lit_gen.metrics.reference import Summary
from lit_gen.metrics.spaces.feature_space import FeatureSpace
from lit_gen.metrics.statistics.statistic import NUM_GROUPS, Pairs, Statistic, StatisticFactory

MIN_SAMPLES = 2 * NUM_GROUPS
"""Two in each group of the jackknife; the standard error of fewer is of no use."""


@dataclasses.dataclass(frozen=True)
class SampleScore:
    """One score of samples, with all that a record or a table says about it.

    Attributes:
        name: Name in records and logs, such as ``fd_mnist_cnn``.
        label: Printed name, such as ``FD-mnist_cnn``.
        unit: Unit of the value; empty where it has none.
        higher_is_better: Whether larger values are better.
        decimals: Decimals that are printed.
        value: The score.
        standard_error: Standard error over redrawn samples, the reference held fixed; None where it is not estimated.
        num_samples: Number of samples.
        protocol: Fields of the protocol that are the statistic's own.
        uses_reference: Whether the samples were compared with real data.
        reference_split: Split of the reference, where the statistic's definition names it; else None.
        note: What a reader must know beside the protocol, in words; empty for most.
        pairs: Samples with their nearest reference examples, of a statistic that looks for them.
    """

    name: str
    label: str
    unit: str
    higher_is_better: bool
    decimals: int
    value: float
    standard_error: float | None
    num_samples: int
    protocol: Mapping[str, Any]
    uses_reference: bool = True
    reference_split: str | None = None
    note: str = ""
    pairs: Pairs | None = dataclasses.field(default=None, compare=False, repr=False)


def score_samples(
    sample: Callable[[int, int], Tensor],
    space: FeatureSpace,
    factories: Sequence[StatisticFactory],
    references: Sequence[Summary | None],
    num_samples: int,
    *,
    block: int = 250,
    rank: int = 0,
    world_size: int = 1,
    all_reduce: Callable[[Tensor], Tensor] | None = None,
) -> list[SampleScore]:
    """Draws samples block by block and scores them, never holding more than a block.

    Process r draws blocks r, r + world_size, ... of the indices 0..num_samples-1, the last block cut to fit, so
    that the set of samples, and with it every score up to the rounding of float64 sums, is that of a single
    process.

    Args:
        sample: (first, n) -> uint8 [n, ...] as the space takes them, the samples of indices
            first..first+n-1; sample i must depend on i alone.
        space: The feature space.
        factories: The statistics.
        references: Summary of the real data's features for each of them, or None for one that uses none.
        num_samples: Number of samples over all processes.
        block: Samples drawn at a time.
        rank: Number of this process.
        world_size: Number of processes that share the work.
        all_reduce: Function that sums a tensor over all processes and returns it; needed when there are several.

    Raises:
        UserError: There are fewer than 20 samples.
        ValueError: On every process, when any feature or logit is not finite; when the sampler returns another
            number of samples than it was asked for; when several processes have no ``all_reduce``.
    """
    if num_samples < MIN_SAMPLES:
        raise UserError(
            f"num_samples={num_samples} is too few for a standard error; ask for {MIN_SAMPLES} or more"
        )
    if world_size > 1 and all_reduce is None:
        raise ValueError(f"{world_size} ranks need an all_reduce")
    add = all_reduce if world_size > 1 else None
    statistics = [
        build(factory, space, num_samples, reference, all_reduce=add)
        for factory, reference in zip(factories, references, strict=True)
    ]
    collection = MetricCollection({str(i): s for i, s in enumerate(statistics)}, compute_groups=False)
    broken = torch.zeros((), dtype=torch.float64, device=space.sums_device)
    for first in range(rank * block, num_samples, world_size * block):
        n = min(block, num_samples - first)
        x = sample(first, n)
        if len(x) != n:
            raise ValueError(f"the sampler returned {len(x)} samples where {n} were asked for")
        features, logits = space(x)
        broken += (~(features.isfinite().all(1) & logits.isfinite().all(1))).sum().to(broken.device)
        index = torch.arange(first, first + n, device=features.device)
        collection.update(features=features, logits=logits, index=index)
    if add is not None:
        broken = add(broken)
    if broken > 0:  # after the reduction, so that no process waits for one that raised
        raise ValueError(f"{int(broken)} of {num_samples} samples have features that are not finite")
    return [score for statistic in statistics for score in scores_of(statistic, space, num_samples)]


def scores_of(statistic: Statistic, space: FeatureSpace, num_samples: int) -> list[SampleScore]:
    """What a statistic computes of a space's features, as scores."""
    values, network = statistic.compute(), space.network
    errors = {spec.key: values.get(f"{spec.key}_se") for spec in statistic.scores}
    return [
        SampleScore(
            name=spec.name(network),
            label=spec.label_in(network),
            unit=spec.unit,
            higher_is_better=spec.higher_is_better,
            decimals=spec.decimals,
            value=float(values[spec.key]),
            standard_error=None if (error := errors[spec.key]) is None else float(error),
            num_samples=num_samples,
            protocol=statistic.protocol(),
            uses_reference=statistic.uses_reference,
            reference_split=statistic.reference_split,
            note=statistic.note(space.few_examples),
            pairs=statistic.pairs(),
        )
        for spec in statistic.scores
    ]
