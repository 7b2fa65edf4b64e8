"""Scores of likelihoods: which examples are scored, their mean with its errors, and their values one by one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lit_gen.contract import Estimation, ExampleValues
from lit_gen.data import DiscreteDataModule
from lit_gen.data.module import SplitName
from lit_gen.errors import UserError
from lit_gen.likelihood import bits_per_dim
from lit_gen.records.per_example import ExampleNats
from lit_gen.records.protocol import Protocol
from lit_gen.records.score import Score
from lit_gen.scoring.settings import Scoring
from lit_gen.scoring.uncertainty import mean_nats

MakeProtocol = Callable[..., Protocol]
"""Function from a metric's name and further fields to the protocol of a score."""


@dataclasses.dataclass(frozen=True)
class ScoredPart:
    """Examples whose likelihood is computed.

    Attributes:
        split: Their split.
        rows: Their positions in it, ascending, int64 ``[M]``; None for the whole split.
        how: How their likelihood is estimated.
    """

    split: SplitName
    rows: Tensor | None
    how: Estimation


def scored_parts(data: DiscreteDataModule, scoring: Scoring) -> list[ScoredPart]:
    """The examples of the scored split, and as many of the training split, whose gap to them shows overfitting.

    A subset is random. On the training split, the error from draws is not measured, so one estimate is enough.
    """
    how = Estimation(scoring.estimator, scoring.draws, scoring.seed, scoring.replicates)
    rows = chosen_rows(len(data.split(scoring.split).x), scoring.max_examples, scoring.seed)
    parts = [ScoredPart(scoring.split, rows, how)]
    if scoring.train_likelihood:
        number = len(data.split(scoring.split).x) if rows is None else len(rows)
        rows = chosen_rows(len(data.split("train").x), number, scoring.seed)
        parts.append(ScoredPart("train", rows, dataclasses.replace(how, replicates=1)))
    return parts


def chosen_rows(length: int, wanted: int | None, seed: int) -> Tensor | None:
    """Random rows of a split in ascending order; None for all of them."""
    return None if wanted is None or wanted >= length else some_rows(length, wanted, seed).sort().values


def some_rows(length: int, n: int, seed: int) -> Tensor:
    """Indices of n random rows without repetition: the first rows may all be of one class."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(seed))[:n]


def likelihood_scores(
    values: ExampleValues, part: ScoredPart, data: DiscreteDataModule, make_protocol: MakeProtocol
) -> list[Score]:
    """Scores of a part's likelihood in bits per dimension and in nats; none if no likelihood was computed.

    Raises:
        UserError: If an example has no finite likelihood.
        RuntimeError: If examples are missing.
    """
    if not len(values):
        return []
    split = data.split(part.split)
    expected = len(split.x) if part.rows is None else len(part.rows)
    if len(values) != expected:
        raise RuntimeError(f"{len(values)} examples were scored where there are {expected}")
    if values.non_finite:
        raise UserError(
            f"{values.non_finite} of {expected} {part.split} examples have no finite likelihood,"
            " so there is no score; train longer, or at a lower learning rate"
        )
    group = None if split.group is None else split.group[values.index]
    found = mean_nats(values, group, split.group_name)
    fields = protocol_fields(values, part, data)
    file = f"likelihoods/{part.split}-{make_protocol('nll', **fields).hash[:16]}.csv.gz"
    scores, units = [], {"bpd": bits_per_dim(1.0, data.shape), "nll": 1.0}
    if part.split == "train":
        del units["nll"]  # the gap in one unit is enough
    for metric, factor in units.items():
        scaled = found.scaled(factor)
        scores.append(
            Score(
                name=metric,
                value=scaled.mean,
                standard_error=scaled.standard_error,
                kind=values.kind,
                protocol=make_protocol(metric, **fields),
                error=scaled.parts,
                per_example=file,
            )
        )
    return scores


def protocol_fields(values: ExampleValues, part: ScoredPart, data: DiscreteDataModule) -> dict[str, Any]:
    """The fields of a likelihood's protocol that depend on its examples and its estimator."""
    rows, exact = part.rows, values.kind == "exact"
    return {
        "split": part.split,
        "data_hash": data.fingerprint(part.split) if rows is None else data.fingerprint_of(part.split, rows),
        "num_examples": len(values),
        "estimator": values.estimator,
        "draws": None if exact else part.how.draws,
        "replicates": None if exact or part.how.replicates == 1 else part.how.replicates,
        "seed": None if exact else part.how.seed,  # nothing is drawn
    }


def uniform_score(values: ExampleValues, part: ScoredPart, data: DiscreteDataModule, protocol: MakeProtocol) -> Score:
    """The baseline of uniform noise, which all models should beat: log2 of the number of values."""
    fields = protocol_fields(values, part, data) | {
        "estimator": "uniform noise",
        "draws": None,
        "replicates": None,
        "weights": "none",
        "ema_halflife_examples": None,
        "precision": None,
        "seed": None,
    }
    bits = math.log2(data.num_levels)
    return Score(name="bpd", value=bits, standard_error=0.0, kind="exact", protocol=protocol("bpd", **fields))


def example_rows(values: ExampleValues, part: ScoredPart, data: DiscreteDataModule) -> Iterator[ExampleNats]:
    """The values of a part's examples, for a file."""
    group = data.split(part.split).group
    groups = values.index if group is None else group[values.index]
    spread = [None] * len(values) if values.variance is None else values.variance.tolist()
    for row in zip(values.index.tolist(), groups.tolist(), values.nats.tolist(), spread, strict=True):
        yield ExampleNats(*row)
