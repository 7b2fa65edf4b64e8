"""Cells of the tables, from records: a mean with its deviation over seeds, or one value with its standard error."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kept import TIMES

from lit_gen.errors import UserError
from lit_gen.leaderboard.figures import duration, error_figure, score_figure
from lit_gen.records.flags import flags
from lit_gen.records.question import SETTING
from lit_gen.records.record import Record
from lit_gen.records.score import Score, default_metric

IDLE = "on an idle machine"


class NoScoreError(UserError):
    """A record lacks a score that a table shows."""


class Cell(NamedTuple):
    """Text of a cell, and the remarks that belong below its table."""

    text: str
    remarks: tuple[str, ...] = ()


def score_cell(records: Sequence[Record], column: Mapping[str, Any], row: Mapping[str, Any], baseline: bool) -> Cell:
    """The figure of a metric in the records of one run.

    Args:
        records: The records, one for each seed.
        column: The table's column.
        row: The table's row.
        baseline: Whether the reference of real examples is shown, in place of the model.

    Raises:
        NoScoreError: The score is missing from all records, of a model that has such scores.
        UserError: The score is missing from some of the records, or its kinds differ.
    """
    found = [select(record, column, row, baseline) for record in records]
    scores = [score for score in found if score is not None]
    name = f"{records[0].run_name}: {column['metric']}"
    if not scores:
        return Cell(_reason_for_none(records[0], column, name, baseline))
    if len(scores) < len(found):
        raise UserError(f"{name} is in {len(scores)} of {len(found)} records")
    if len({score.kind for score in scores}) > 1:
        raise UserError(f"{name} has several kinds")
    decimals = column["decimals"]
    if column.get("grid"):
        text = _in_grid(scores[0], decimals)
    else:
        text = _with_errors(scores[0], decimals) if len(scores) == 1 else _over_seeds(scores, decimals)
    if column.get("counted"):
        text += f" ({scores[0].protocol.num_samples:,})"
    if baseline:  # which the flags do not concern
        return Cell(text)
    reasons = [reason for score, record in zip(scores, records, strict=True) for reason in flags(score, record)]
    remarks = tuple(dict.fromkeys(f"! {records[0].model}: {reason}" for reason in reasons))
    return Cell(f"{text} !" if remarks else text, remarks)


def _reason_for_none(record: Record, column: Mapping[str, Any], name: str, baseline: bool) -> str:
    """Text of a cell without a score: a baseline has only some, and a model may have no likelihood."""
    if baseline:
        return ""
    if default_metric(column["metric"], record.dimension).likelihood and not any(s.kind for s in record.scores):
        return "n/a"
    raise NoScoreError(f"{name}: the record has no score for the column '{column['header']}'; run.py takes it")


def _over_seeds(scores: Sequence[Score], decimals: int) -> str:
    values = [score.value for score in scores]
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    text = f"{score_figure(dataclasses.replace(scores[0], value=mean), decimals)}, sd {deviation:.{decimals}f}"
    return text + _draws(scores, decimals)


def _with_errors(score: Score, decimals: int) -> str:
    text = score_figure(score, decimals)
    if score.standard_error:
        text += f", standard error {score.standard_error:.{decimals}f}" + _draws([score], decimals)
    return text


def _draws(scores: Sequence[Score], decimals: int) -> str:
    """The error from the estimator's draws: trainings share them, so that their deviation does not show it."""
    errors = [score.error.from_draws for score in scores if score.error and score.error.from_draws]
    return f" (draws {statistics.fmean(errors):.{decimals}f})" if errors else ""


def _in_grid(score: Score, decimals: int) -> str:
    """The figure of one seed, with its error and function evaluations in short."""
    evaluations = score.protocol.sampler_settings["function_evaluations"]
    return f"{score_figure(score, decimals)} {error_figure(score, decimals)} ({evaluations:,})"


def select(record: Record, column: Mapping[str, Any], row: Mapping[str, Any], baseline: bool = False) -> Score | None:
    """The one score of a record that a column shows in a row; None if it has none.

    Args:
        record: The record.
        column: The table's column.
        row: The table's row.
        baseline: Whether the reference of real examples is meant.

    Raises:
        UserError: Several scores fit.
    """
    split, count = column.get("split", "test"), column.get("num_samples")
    scores = [
        score
        for score in (record.baselines if baseline else record.scores)
        if score.name == column["metric"] and score.protocol.split == split
        and (count is None or score.protocol.num_samples == count)
    ]
    if baseline:
        scores = [score for score in scores if str(score.protocol.sampler).startswith("real train")]
    elif any(score.kind for score in scores):
        scores = _likelihoods(scores, row.get("likelihood", column.get("likelihood")), split)
    else:
        scores = _samples(scores, {**row.get("samples", {}), **column.get("samples", {})})
    if len(scores) > 1:
        raise UserError(f"{record.run_name}: {len(scores)} scores of {column['metric']} fit the column "
                        f"'{column['header']}'; name their options")
    return scores[0] if scores else None


def _likelihoods(scores: Sequence[Score], estimator: str | None, split: str) -> list[Score]:
    """Those by an estimator; without one, those that ``fit`` took, or that are of another split."""
    if estimator is not None:
        return [score for score in scores if str(score.protocol.estimator).startswith(estimator)]
    return [score for score in scores if not score.arguments or split != "test"]


def _samples(scores: Sequence[Score], options: Mapping[str, Any]) -> list[Score]:
    """Those of samples by these options; without any, those of the run's own."""
    if not options:
        return [score for score in scores if score.own_sampling]
    found = []
    for score in scores:
        flat = score.protocol.flat()
        if all(flat.get(name, flat.get(SETTING + name)) == value for name, value in options.items()):
            found.append(score)
    return found


def cost_cell(records: Sequence[Record], name: str) -> Cell:
    """Mean of a cost over the records; of seconds, with a mark where they were measured beside other work."""
    values = [getattr(record.cost, name) for record in records]
    if None in values:
        return Cell("n/a")
    if not name.endswith("seconds"):
        return Cell(f"{statistics.fmean(values):,.0f}")
    remarks = {f"\u2021 measured {record.notes.get(TIMES)}" for record in records if record.notes.get(TIMES) != IDLE}
    return Cell(duration(statistics.fmean(values)) + (" \u2021" if remarks else ""), tuple(sorted(remarks)))
