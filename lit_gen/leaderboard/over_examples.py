"""Scores of several checkpoints of one run, over the training examples that each has seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lit_gen.errors import UserError
from lit_gen.leaderboard.competing import competing
from lit_gen.leaderboard.figures import error_figure, score_figure
from lit_gen.leaderboard.printable import printable
from lit_gen.leaderboard.table import Column, Row, Section
from lit_gen.records.score import Score


class Checkpoint(NamedTuple):
    """One point of a curve.

    Attributes:
        examples: Training examples that the checkpoint has seen.
        row: Its row.
        score: Its score.
    """

    examples: int
    row: Row
    score: Score


def run_of(row: Row) -> Path | None:
    """Folder of the run that a row's record is of: the records of further checkpoints are in its `evaluations`."""
    folder = row.directory
    return folder.parent.parent if folder is not None and folder.parent.name == "evaluations" else folder


def curves_over_examples(section: Section, index: int) -> dict[Path, list[Checkpoint]]:
    """For each run with several scored checkpoints, its points of one column, in the order of training."""
    found: dict[Path, list[Checkpoint]] = {}
    for row in section.rows:
        folder, cost = run_of(row), row.cost
        if folder is None or cost is None or cost.examples_seen is None or row.record is None:
            continue
        able = competing(row.cells[index], row.record)
        if able:
            found.setdefault(folder, []).append(Checkpoint(cost.examples_seen, row, able[0]))
    several = {folder: points for folder, points in found.items() if len({p.examples for p in points}) > 1}
    return {folder: sorted(points, key=lambda point: point.examples) for folder, points in several.items()}


def over_examples_text(sections: Sequence[Section]) -> str:
    """All curves as text for a terminal.

    Raises:
        UserError: No run has scores of several checkpoints.
    """
    lines: list[str] = []
    for section in sections:
        for i, column in enumerate(section.columns):
            for folder, points in curves_over_examples(section, i).items():
                title = f"{printable(section.data)}, {printable(column.header)}, {printable(folder.name)}"
                lines += [title, *_lines(column, points), ""]
    if not lines:
        raise UserError("no run has scores of several checkpoints; keep them in training "
                        "(--checkpoint.save_top_k=-1) and score each (lit-gen evaluate RUN/checkpoints/NAME.ckpt)")
    return "\n".join(lines)


def _lines(column: Column, points: Sequence[Checkpoint]) -> list[str]:
    table = [("examples seen", "checkpoint", column.label, "")]
    for point in points:
        assert point.row.record is not None
        spread = point.row.spread(point.score)
        table.append((
            f"{point.examples:,.0f}", printable(point.row.record.selection.checkpoint),
            score_figure(point.score, column.decimals), error_figure(point.score, column.decimals, spread=spread),
        ))
    widths = [max(len(line[i]) for line in table) for i in range(4)]
    return [f"  {a:>{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}} {d}".rstrip() for a, b, c, d in table]
