"""The row of a group of runs that differ in their seed alone: means of scores and of costs."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lit_gen.leaderboard.competing import competing_first
from lit_gen.leaderboard.seed_groups import by_seed, group_label
from lit_gen.leaderboard.spread import Member, Spread
from lit_gen.leaderboard.table import Column, Row
from lit_gen.records.cost import Cost
from lit_gen.records.error_parts import ErrorParts
from lit_gen.records.flags import flags
from lit_gen.records.protocol import Protocol, sha256_of
from lit_gen.records.score import Score

_EVALUATIONS = "function_evaluations"


def merge_seeds(rows: Sequence[Row]) -> list[Row]:
    """The rows, with one in place of all runs that differ in their seed alone.

    Args:
        rows: Rows of single runs.
    """
    merged = [row for same in by_seed(rows) for row in (_merged(same) if len(same) > 1 else same)]
    counts = Counter(row.label for row in merged)
    return [
        row if counts[row.label] == 1 or not row.members
        else dataclasses.replace(row, label=f"{row.label}, {row.members[0].label} ...")
        for row in merged
    ]


def with_decimals(column: Column, index: int, rows: Sequence[Row]) -> Column:
    """The column with enough digits to show one of the smallest standard deviation between seeds, at most four."""
    spreads = [row.spread(score) for row in rows for score in row.cells[index]]
    found = [s.deviation for s in spreads if s is not None and s.deviation]
    digits = min(4, math.ceil(-math.log10(min(found)))) if found else 0
    return dataclasses.replace(column, decimals=max(column.decimals, digits))


def _merged(rows: Sequence[Row]) -> list[Row]:
    """One row for several runs, with the mean of each score over the runs that have it; all where there is no mean."""
    first = rows[0].record
    assert first is not None
    groups = _same_answers(rows)
    means: dict[str, Score] = {}
    spreads: dict[int, Spread] = {}
    try:
        for name, members in sorted(groups.items(), key=lambda item: -len(item[1])):
            means[name], spread = _mean(rows, members)
            spreads[id(means[name])] = spread
        record = dataclasses.replace(
            first, run_name=group_label(rows), scores=tuple(means.values()), cost=_mean_cost(rows), extra={},
        )
    except (ValueError, OverflowError):  # numbers so large that their mean is none
        return [*rows]
    owner = {id(member.score): name for name, members in groups.items() for member in members}
    cells = []
    for i in range(len(rows[0].cells)):
        names = dict.fromkeys(owner[id(score)] for row in rows for score in row.cells[i])
        cells.append(competing_first([means[name] for name in names], record))
    return [Row(record.run_name, tuple(cells), record, rows[0].directory, tuple(rows), spreads)]


def _same_answers(rows: Sequence[Row]) -> dict[str, list[Member]]:
    """The scores of runs by what was asked and how it was answered, which need not take equally many evaluations."""
    coarse: dict[str, dict[int, list[Score]]] = {}
    for i, row in enumerate(rows):
        for score in {id(score): score for cell in row.cells for score in cell}.values():
            coarse.setdefault(_answer(score), {}).setdefault(i, []).append(score)
    found: dict[str, list[Member]] = {}
    for name, by_row in coarse.items():
        unique = all(len(own) == 1 for own in by_row.values())
        for i, own in by_row.items():
            for score in own:
                key = name if unique else f"{score.kind} {score.protocol.hash}"
                found.setdefault(key, []).append(Member(score, rows[i].directory, rows[i].label))
    return found


def _answer(score: Score) -> str:
    protocol = score.protocol.stated()
    settings = protocol.get("sampler_settings", {})
    if _EVALUATIONS in settings:
        protocol["sampler_settings"] = {name: v for name, v in settings.items() if name != _EVALUATIONS}
    return f"{score.kind} {score.unit} {sha256_of(protocol)}"


def _mean(rows: Sequence[Row], members: Sequence[Member]) -> tuple[Score, Spread]:
    records = {row.label: row.record for row in rows}
    flagged = []
    for member in members:
        record = records[member.label]
        assert record is not None
        flagged += [f"{member.label}: {reason}" for reason in flags(member.score, record)]
    spread = Spread(tuple(members), tuple(flagged))
    scores = [member.score for member in members]
    score = dataclasses.replace(
        scores[0], value=spread.mean, standard_error=spread.error(), protocol=_protocol(scores), error=_error(scores),
        per_example=None, own_sampling=any(s.own_sampling for s in scores), arguments=(), scored_with=None,
        note="; ".join(dict.fromkeys(s.note for s in scores if s.note)), extra={},
    )
    return score, spread


def _protocol(scores: Sequence[Score]) -> Protocol:
    """The protocol of all, with the mean number of function evaluations."""
    protocol = scores[0].protocol
    counts = [score.protocol.sampler_settings.get(_EVALUATIONS) for score in scores]
    numbers = [count for count in counts if isinstance(count, int | float)]
    if len(set(numbers)) < 2 or len(numbers) < len(counts):
        return protocol
    mean = math.fsum(numbers) / len(numbers)
    return dataclasses.replace(protocol, sampler_settings={**protocol.sampler_settings, _EVALUATIONS: mean})


def _error(scores: Sequence[Score]) -> ErrorParts | None:
    """What the errors are over; the heaviest tail of all, so that the mean is no more reliable than that."""
    found = [score.error for score in scores if score.error is not None]
    if not found:
        return None
    tails = [error.pareto_k for error in found if error.pareto_k is not None]
    return ErrorParts(group=found[0].group, num_groups=found[0].num_groups, pareto_k=max(tails, default=None))


def _mean_cost(rows: Sequence[Row]) -> Cost:
    means: dict[str, Any] = {}
    for f in dataclasses.fields(Cost):
        known = [value for row in rows if (value := _known(row, f.name)) is not None]
        if known:
            means[f.name] = known[0] if len(set(known)) == 1 else math.fsum(value / len(known) for value in known)
    return Cost(**means)


def _known(row: Row, name: str) -> float | None:
    value = getattr(row.cost, name)
    return None if isinstance(value, Mapping) else value
