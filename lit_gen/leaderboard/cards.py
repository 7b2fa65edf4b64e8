"""A card for each run: its samples, scores, checkpoint selection, environment and configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_gen.leaderboard.board import typeset
from lit_gen.leaderboard.figures import count, error_figure
from lit_gen.leaderboard.markup import Markup, element
from lit_gen.leaderboard.nfe_curves import along, evaluations, more, sampler_text
from lit_gen.leaderboard.plot import shade
from lit_gen.leaderboard.samples import samples
from lit_gen.leaderboard.table import Cell, Column, Row, Section
from lit_gen.records.record import Record
from lit_gen.records.score import Score

MOST_CONFIGS = 500
"""Rows of a section up to which each card holds the run's configuration, which its record has in any case."""


def cards(section: Section, families: Sequence[str], *, anchor: str) -> tuple[Markup, list[str]]:
    """The cards of a section.

    Args:
        section: The section, its rows in order.
        families: All families of the page, whose order gives their colours.
        anchor: Prefix of the cards' ids.

    Returns:
        The cards, and one line for each file of samples that could not be shown.
    """
    complaints: list[str] = []
    made = []
    with_config = len(section.rows) <= MOST_CONFIGS
    for i, row in enumerate(section.rows):
        shown, missing = samples(row)
        complaints += missing
        made.append(_card(section, row, families, shown, f"{anchor}-{i}", with_config))
    return element("div", element("h3", "Samples"), element("div", *made, class_="cards")), complaints


def _card(
    section: Section, row: Row, families: Sequence[str], shown: Markup, anchor: str, with_config: bool
) -> Markup:
    assert row.record is not None
    record = row.record
    scores, folded = [], []
    for column, cell in zip(section.columns, row.cells, strict=True):
        if more(cell):
            folded.append(_answers(row, column, cell))
        for score in cell[:1] if more(cell) else cell:
            scores += [element("dt", column.header), element("dd", _figure(row, score, column))]
    dot = element("i", class_=f"dot shade{shade(families, record.family)}")
    runs = []
    for run in row.runs:
        assert run.record is not None
        title = f"Run {run.label}, seed {run.record.seed}" if row.members else "Run"
        runs.append(element("details", element("summary", title),
                            element("pre", tree(_run(run.record, run.directory)))))
    return element(
        "article", shown, element("h4", row.label),
        element("p", dot, f"{record.family} · {record.model}", class_="meta"),
        element("dl", *scores, class_="scores"), *folded,
        *runs,
        element("details", element("summary", "Config"), element("pre", tree(record.config))) if with_config else "",
        class_="card", id_=anchor,
    )


def _figure(row: Row, score: Score, column: Column) -> str:
    error = error_figure(score, column.decimals, "±", row.spread(score))
    return f"{typeset(score, column.decimals)} {error}".rstrip()


def _answers(row: Row, column: Column, cell: Cell) -> Markup:
    """All scores of a cell that the table shortens, by sampler; collapsed."""
    lines = []
    for score in along(cell):
        paid = evaluations(score)
        lines.append(element(
            "tr", element("th", sampler_text(score), scope="row"),
            element("td", "" if paid is None else f"{paid:.0f}"), element("td", _figure(row, score, column)),
        ))
    heads = [element("th", name, scope="col") for name in ("sampler", "NFE", column.label)]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *lines), class_="answers")
    summary = element("summary", f"All {len(cell)} scores of {column.header}")
    return element("details", summary, element("div", table, style="overflow-x:auto"))


def _run(record: Record, directory: Path | None) -> Mapping[str, Any]:
    cost, environment = record.cost, record.environment
    memory = None if cost.peak_memory_bytes is None else f"{count(cost.peak_memory_bytes)}B"
    return {
        "directory": str(directory), "created": record.created, "seed": record.seed,
        "git commit": record.git_commit, "checkpoint": record.selection.checkpoint,
        "chosen as": record.selection.rule, "step": record.selection.step,
        "watched": record.selection.metric, "value": record.selection.value,
        "last value": record.selection.last_value, "examples/s trained": cost.examples_per_second,
        "peak memory": memory, "machine": environment.machine, "accelerator": environment.accelerator,
        "world size": environment.world_size, "versions": environment.versions,
        **({"notes": record.notes} if record.notes else {}),
    }


def tree(value: Any, indent: str = "") -> str:
    """Nested plain values as indented lines.

    >>> print(tree({"model": {"lr": 0.001, "widths": [200, 50]}, "seed": None}))
    model:
      lr: 0.001
      widths: [200, 50]
    seed: null
    """
    lines = []
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            lines.append(f"{indent}{name}:\n{tree(item, indent + '  ')}")
        else:
            lines.append(f"{indent}{name}: {item if isinstance(item, str) else json.dumps(item)}")
    return "\n".join(lines)
