"""Groups the scores of runs into columns.

Two scores share a column only if their protocols ask the same question (`records.question.merge_questions`). If one
metric has several columns, each header names the fields on which they differ.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lit_gen.leaderboard.chosen_checkpoints import count_trials
from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.competing import competing_first, metric_order, ranked
from lit_gen.leaderboard.mean_row import merge_seeds, with_decimals
from lit_gen.leaderboard.table import Column, Row, Section
from lit_gen.records.protocol import Protocol
from lit_gen.records.question import INDEPENDENT, Question, canonical, is_answer, merge_questions
from lit_gen.records.record import BASELINES
from lit_gen.records.score import METRICS, Score

# A baseline is not a model, so it has no weights; otherwise it answers the column's question.
_FREE = (*INDEPENDENT, "weights")
_OF_SPLIT = ("split", "data_hash", "num_examples", "reference_split", "reference_hash")


_Ask = Callable[[Protocol], Question]
"""The question of a protocol, without what the user wants side by side in one column."""


class _Group(NamedTuple):
    """The scores of one column."""

    metric: str
    question: Question
    scores: list[Score]
    baselines: list[Score]


def build_sections(
    runs: Sequence[Run], *, strict: bool = False, compare_weights: bool = False, each_run: bool = False
) -> list[Section]:
    """Sections in alphabetical order, their rows in the order of the runs.

    Args:
        runs: All runs.
        strict: Whether every field of the protocol that differs splits a column.
        compare_weights: Whether scores of averaged and of raw weights share columns.
        each_run: Whether runs that differ in their seed alone have a row each, instead of one together.
    """
    def ask(protocol: Protocol) -> Question:
        question = protocol.question(strict)
        return {name: v for name, v in question.items() if name != "weights"} if compare_weights else question

    by_data: dict[str, list[Run]] = {}
    for run in runs:
        for part in _by_data(run):
            by_data.setdefault(part.record.data, []).append(part)
    sections = [_section(data, by_data[data], ask) for data in sorted(by_data)]
    trials = count_trials(runs)
    sections = [dataclasses.replace(section, with_weights=compare_weights, trials=trials) for section in sections]
    return sections if each_run else [_by_seed(section) for section in sections]


def _by_seed(section: Section) -> Section:
    rows = merge_seeds(section.rows)
    columns = tuple(with_decimals(column, i, rows) for i, column in enumerate(section.columns))
    return dataclasses.replace(section, rows=tuple(rows), columns=columns)


def _by_data(run: Run) -> list[Run]:
    """The run with the scores on its own data, and for each other data set a run with those on it."""
    record = run.record
    others = dict.fromkeys(s.protocol.data for s in record.scores if s.protocol.data != record.data)
    if not others:
        return [run]
    parts = []
    for name in (record.data, *others):
        of_data: dict[str, Any] = {
            "scores": [score for score in record.scores if score.protocol.data == name],
            "baselines": [score for score in record.baselines if score.protocol.data == name],
        }
        if name != record.data:
            of_data |= {"data": name, "run_name": f"{record.run_name} (trained on {record.data})", "entropy": {}}
        parts.append(run._replace(record=dataclasses.replace(record, **of_data)))
    return parts


def _section(data: str, runs: Sequence[Run], ask: _Ask) -> Section:
    names = _run_names(runs)
    owners = {id(score): name for run, name in zip(runs, names, strict=True) for score in run.record.scores}
    scores = [score for run in runs for score in run.record.scores]
    baselines = [score for run in runs for score in run.record.baselines]
    stated = _stated_units([*scores, *baselines])
    groups, left_out = [], []
    for group in _groups(scores, baselines, ask):
        agreeing, others = _agreeing(group, stated)
        groups.append(agreeing)
        left_out += [f"{owners.get(id(s), 'a baseline')}: {_contradiction(s)}" for s in others]
    columns, groups = _columns(groups, stated)
    # By identity, as two runs may hold equal scores.
    members = [{id(score) for score in group.scores} for group in groups]
    rows = [
        Row(name, tuple(competing_first([s for s in run.record.scores if id(s) in own], run.record) for own in members),
            run.record, run.directory)
        for run, name in zip(runs, names, strict=True) if run.record.family != BASELINES
    ]
    return Section(data, columns, tuple(rows), _baseline_rows(baselines, groups), tuple(dict.fromkeys(left_out)))


def _run_names(runs: Sequence[Run]) -> list[str]:
    """Names of the runs; runs with equal names are followed by their directories."""
    names = [run.record.run_name for run in runs]
    counts = Counter(names)
    top = os.path.commonpath([run.directory for run in runs])
    return [
        name if counts[name] == 1 else f"{name} ({os.path.relpath(run.directory, top)})"
        for name, run in zip(names, runs, strict=True)
    ]


def _groups(scores: Sequence[Score], baselines: Sequence[Score], ask: _Ask) -> list[_Group]:
    groups = []
    named: dict[str, list[Score]] = {}
    for score in (*scores, *baselines):
        named.setdefault(score.name, []).append(score)
    for metric in sorted(named, key=lambda name: metric_order(name, named[name])):
        own = _by_question((s for s in scores if s.name == metric), ask)
        references = _by_question((s for s in baselines if s.name == metric), Protocol.question)
        questions = _merged([question for question, _ in own.values()])
        # A baseline under another question than every run's is not dropped: it opens a column of its own.
        strays = [key for key, (question, _) in references.items() if not any(_held(question, q) for q in questions)]
        questions += _merged([ask(s.protocol) for key in strays for s in references[key][1]])
        groups += [
            _Group(
                metric, asked,
                [s for question, same in own.values() if merge_questions(asked, question) is not None for s in same],
                [s for question, same in references.values() if _held(question, asked) for s in same],
            )
            for asked in questions
        ]
    return groups


def _by_question(scores: Iterable[Score], ask: _Ask) -> dict[str, tuple[Question, list[Score]]]:
    found: dict[str, tuple[Question, list[Score]]] = {}
    known: dict[int, list[Score]] = {}  # by the protocol's identity, as many records share one
    for score in scores:
        same = known.get(id(score.protocol))
        if same is None:
            question = ask(score.protocol)
            same = known[id(score.protocol)] = found.setdefault(canonical(question), (question, []))[1]
        same.append(score)
    return found


def _merged(questions: Sequence[Question]) -> list[Question]:
    """One question for each column. Fields that a question leaves open are filled in from the others in its column.

    A score with open fields is in every column that it fits.
    """
    columns: list[Question] = []
    definite_first = sorted(questions, key=lambda question: sum(question.get(name) is None for name in INDEPENDENT))
    # Two passes, as a question may fit a column that is opened later. Each column has the fields of all of its scores,
    # so that no two of them can contradict each other.
    for question in (*definite_first, *definite_first):
        fitting = {i: both for i, column in enumerate(columns) if (both := merge_questions(column, question))}
        for i, both in fitting.items():
            columns[i] = both
        if not fitting:
            columns.append(question)
    return columns


def _held(baseline: Question, asked: Question) -> bool:
    """Whether a baseline answers a column's question, except for fields that a baseline cannot have."""
    question = {name: value for name, value in asked.items() if not is_answer(name)}
    return merge_questions(question, {**baseline, "weights": None}, _FREE) is not None


def _stated_units(scores: Sequence[Score]) -> dict[tuple[str, str | None], str]:
    """Unit of bits per dimension by metric and data; old records without names of dimensions have bits/dim."""
    unnamed = METRICS["bpd"].unit
    return {(s.name, s.protocol.data_hash): s.unit for s in scores if s.name == "bpd" and s.unit != unnamed}


def _unit(score: Score, stated: Mapping[tuple[str, str | None], str]) -> str:
    named = stated.get((score.name, score.protocol.data_hash), score.unit)
    return named if score.unit == METRICS["bpd"].unit else score.unit


def _agreeing(group: _Group, stated: Mapping[tuple[str, str | None], str]) -> tuple[_Group, list[Score]]:
    """The scores of the group that agree with most of it on unit and direction; then the others."""

    def way(score: Score) -> tuple[str, bool]:
        return _unit(score, stated), score.higher_is_better

    (most, _), = Counter(map(way, (*group.scores, *group.baselines))).most_common(1)
    scores, baselines = ([s for s in part if way(s) == most] for part in (group.scores, group.baselines))
    others = [s for s in (*group.scores, *group.baselines) if way(s) != most]
    return group._replace(scores=scores, baselines=baselines), others


def _contradiction(score: Score) -> str:
    way = "higher" if score.higher_is_better else "lower"
    unit = f"in {score.unit}" if score.unit else "without unit"
    return f"score {score.name} is {unit}, {way} is better, which contradicts the others of its column"


def _columns(
    groups: Sequence[_Group], stated: Mapping[tuple[str, str | None], str]
) -> tuple[tuple[Column, ...], list[_Group]]:
    """The columns in order, and the groups in the same order."""
    made = []
    for metric in dict.fromkeys(group.metric for group in groups):
        same = [group for group in groups if group.metric == metric]
        differing = _differing([group.question for group in same])
        own = [(_column(group, {n: group.question.get(n) for n in differing}, stated), group) for group in same]
        made += sorted(own, key=lambda pair: _place(pair[0].differs))
    return tuple(column for column, _ in made), [group for _, group in made]


def _column(group: _Group, differs: Mapping[str, Any], stated: Mapping[tuple[str, str | None], str]) -> Column:
    scores = group.scores or group.baselines
    unit = _unit(scores[0], stated)
    (label, _), = Counter(s.label if s.unit == unit else unit for s in scores).most_common(1)
    return Column(
        metric=group.metric, label=label, unit=unit, higher_is_better=scores[0].higher_is_better,
        decimals=_decimals(scores), question=group.question, differs=differs,
    )


def _differing(questions: Sequence[Question]) -> list[str]:
    names = dict.fromkeys(name for question in questions for name in question)

    def answers(*fields: str) -> set[str]:
        # As JSON, since Python holds True and 1 for equal.
        return {json.dumps([question.get(n) for n in fields]) for question in questions}

    differing = [n for n in names if len(answers(n) - ({"[null]"} if n in INDEPENDENT else set())) > 1]
    readable = [n for n in differing if not n.endswith("_hash")]
    # Two splits differ in their numbers of examples too, which need no mention.
    brief = [n for n in readable if n != "num_examples"] if "split" in readable else readable
    number = len(answers(*differing))
    return next((names for names in (brief, readable) if len(answers(*names)) == number), differing)


def _place(differs: Mapping[str, Any]) -> tuple[list[tuple[int, float, str]], ...]:
    """A sort key by which columns that differ only in what belongs to the split are neighbours: test, train, val."""
    others = [_ordered(value) for name, value in differs.items() if name not in _OF_SPLIT]
    return others, [_ordered(differs.get("split"))], [_ordered(value) for value in differs.values()]


def _baseline_rows(baselines: Sequence[Score], groups: Sequence[_Group]) -> tuple[Row, ...]:
    by_label: dict[str, list[Score]] = {}
    for baseline in baselines:
        label = baseline.protocol.sampler or baseline.protocol.estimator or ""
        by_label.setdefault(label, []).append(baseline)
    members = [{id(score) for score in group.baselines} for group in groups]
    rows = []
    for label, same in by_label.items():
        rows.append(Row(label, tuple(ranked(_distinct(s for s in same if id(s) in own)) for own in members)))
    return tuple(rows)


def _distinct(scores: Iterable[Score]) -> list[Score]:
    """One of each number: every run brings its own copy, and older records state more fields."""
    return list({(score.value, score.standard_error): score for score in reversed([*scores])}.values())


def _decimals(scores: Sequence[Score]) -> int:
    """Enough to show one digit of the smallest standard error, but four at the most."""
    least = max(score.decimals for score in scores)
    errors = [score.standard_error for score in scores if score.standard_error]
    return least if not errors else max(least, min(4, math.ceil(-math.log10(min(errors)))))


def _ordered(value: Any) -> tuple[int, float, str]:
    """A sort key by which numbers are sorted by value, before texts, and "none" comes first."""
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))
