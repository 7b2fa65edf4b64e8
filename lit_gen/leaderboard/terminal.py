"""The tables as text for a terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from lit_gen.leaderboard.best import LARGEST_ERROR
from lit_gen.leaderboard.chosen_checkpoints import candidates, chosen_text
from lit_gen.leaderboard.competing import competing, selection_text
from lit_gen.leaderboard.figures import COSTS, error_figure, gap_figure, score_figure
from lit_gen.leaderboard.gap import train_gap
from lit_gen.leaderboard.nfe_curves import excerpt, more
from lit_gen.leaderboard.printable import printable
from lit_gen.leaderboard.seed_groups import counted, differing, seed_lines
from lit_gen.leaderboard.spread import spread_text
from lit_gen.leaderboard.table import Row, Section
from lit_gen.records.record import Record
from lit_gen.records.schema import encode
from lit_gen.records.score import Score

MARKS = (
    "the best of a column, with all that two standard errors of the difference cannot tell from it (paired, where both "
    f"runs have values per example), if that error is at most {LARGEST_ERROR:.0%} of the best value or three times the "
    "best's own; bounds compete only with bounds by the same estimator, train scores not at all; of a run's samplings "
    "its own competes, or the best on val if all are scored there"
)
"""What a mark means; the page says it too."""
SEEDS = ("runs that differ in their seed alone are one row: means, and sd, the standard deviation between the runs; n, "
         "the number of runs that have the score, where not all do")
"""What a row of several seeds shows; the page says it too."""
LEGEND = ("= exact, <= upper bound, ~= estimate; +- one standard error; gap: test minus train\n"
          + textwrap.fill(SEEDS, 118, subsequent_indent="  ") + "\n"
          + textwrap.fill(f"* {MARKS}", 118, subsequent_indent="  ") + "\n! flagged, and never best")
_DIM, _BOLD, _PLAIN = "\033[2m", "\033[1m", "\033[0m"


class _Entry(NamedTuple):
    """One line of a cell, with separately aligned parts; without a number, a note on the cell."""

    number: str
    error: str = ""
    mark: str = ""
    note: str = ""


_IDENTITY = ("family", "model", "run")


def terminal(sections: Sequence[Section], *, colour: bool = False) -> str:
    """Aligned tables, one a section, each with its footnotes.

    Args:
        sections: The sections to print.
        colour: Whether to dim the baselines and set headings bold with ANSI codes.
    """
    return "\n".join(_terminal_section(section, colour) for section in sections) + f"\n{LEGEND}\n"


def markdown(sections: Sequence[Section]) -> str:
    """The same as Markdown tables, the best in bold."""
    return "\n".join(_markdown_section(section) for section in sections) + f"\n{LEGEND}\n"


def as_json(sections: Sequence[Section], left_out: Sequence[str]) -> str:
    """The same as JSON: numbers in full, whole protocols."""
    tree = {"sections": [_json_section(section) for section in sections], "left_out": list(left_out)}
    return json.dumps(tree, indent=1, allow_nan=False) + "\n"


def _terminal_section(section: Section, colour: bool) -> str:
    headers = [*_IDENTITY, *(printable(c.header) for c in section.columns), *(cost.header for cost in section.costs),
               "checkpoint"]
    grid = [_lines(section, row) for row in (*section.rows, *section.baselines)]
    columns = [[lines[i] for lines in grid] for i in range(len(headers))]
    texts = [_aligned(cells) if i >= len(_IDENTITY) else [[e.number for e in cell] for cell in cells]
             for i, cells in enumerate(columns)]
    widths = [max([len(headers[i]), *(len(t) for cell in texts[i] for t in cell)]) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        left = [cells[i].ljust(widths[i]) for i in range(len(_IDENTITY))]
        right = [cells[i].rjust(widths[i]) for i in range(len(_IDENTITY), len(cells))]
        return "  ".join(left + right).rstrip()

    def styled(text: str, style: str) -> str:
        return f"{style}{text}{_PLAIN}" if colour else text

    out = [styled(f"{printable(section.data)} ({counted(section)})", _BOLD), line(headers)]
    out.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
    for r in range(len(grid)):
        for k in range(max(len(texts[i][r]) for i in range(len(headers)))):
            cells = [texts[i][r][k] if k < len(texts[i][r]) else "" for i in range(len(headers))]
            out.append(styled(line(cells), _DIM) if r >= len(section.rows) else line(cells))
    out += [f"[{letter}] {printable(text)}" for text, letter in section.notes.items()]
    out += [f"! {printable(line)}" for line in section.flagged]
    out += [f"seeds: {printable(line)}" for line in seed_lines(section)]
    return "\n".join(out) + "\n"


def _markdown_section(section: Section) -> str:
    headers = [*_IDENTITY, *(column.header for column in section.columns), *(cost.header for cost in section.costs),
               "checkpoint"]
    ruler = ["---"] * len(_IDENTITY) + ["---:"] * (len(headers) - len(_IDENTITY))
    out = [f"## {_inert(section.data)}", "", _pipes([_inert(h) for h in headers]), _pipes(ruler)]
    for row in (*section.rows, *section.baselines):
        cells = _lines(section, row)
        who = [_inert(lines[0].number) for lines in cells[: len(_IDENTITY)]]
        out.append(_pipes([*who, *(_markdown_cell(lines) for lines in cells[len(_IDENTITY) :])]))
    notes = [f"- [{letter}] {_inert(text)}" for text, letter in section.notes.items()]
    notes += [f"- ! {_inert(line)}" for line in section.flagged]
    notes += [f"- seeds: {_inert(line)}" for line in seed_lines(section)]
    return "\n".join([*out, *(["", *notes] if notes else [])]) + "\n"


def _markdown_cell(lines: Sequence[_Entry]) -> str:
    parts = []
    for entry in lines:
        body = " ".join(part for part in (entry.number, entry.error) if part)
        body = f"**{body}**" if entry.mark == "*" else f"{body}{entry.mark}"
        parts.append(f"{body} {entry.note}".strip())
    return "<br>".join(parts)


def _lines(section: Section, row: Row) -> list[list[_Entry]]:
    """The row's cells, each as its lines; not yet inert."""
    record = row.record
    who = (record.family, record.model, row.label) if record else ("baseline", "", row.label)
    cells = [[_Entry(printable(text))] for text in who]
    for i in range(len(section.columns)):
        entries = [_entry(section, row, i, score) for score in excerpt(row.cells[i])]
        rest = [_Entry("", note=more(row.cells[i]))] if more(row.cells[i]) else []
        cells.append([*entries, *rest] or [_Entry("n/a" if record else "")])
    chosen = printable(chosen_text(row, section.trials))
    return [*cells, *([_Entry(cost.text(row.cost))] for cost in section.costs), [_Entry(chosen)]]


def _entry(section: Section, row: Row, column: int, score: Score) -> _Entry:
    decimals, record = section.columns[column].decimals, row.record
    mark, notes, spread = "", [], row.spread(score)
    if record:
        mark = "!" if row.flags(score) else "*" if section.is_best(row, column, score) else ""
        letter = section.notes.get(section.footnote(row, column, score))
        gap = train_gap(score, record)
        notes = [f"[{letter}]" if letter else "", gap_figure(gap.value, decimals) if gap else "",
                 spread_text(spread, row.members)]
    error = error_figure(score, decimals, spread=spread)
    return _Entry(score_figure(score, decimals), error, mark, " ".join(note for note in notes if note))


def _aligned(cells: Sequence[Sequence[_Entry]]) -> list[list[str]]:
    """Texts of one column, with numbers, errors, marks and notes aligned."""
    entries = [entry for cell in cells for entry in cell if entry.number]
    # A column is empty where there are baselines alone, which have no cost.
    number, error, mark, note = (max((len(entry[part]) for entry in entries), default=0) for part in range(4))
    gap = " " if error else ""
    before = " " if note else ""
    return [
        [f"{e.number:>{number}}{gap}{e.error:<{error}}{e.mark:<{mark}}{before}{e.note:<{note}}" if e.number
         else e.note for e in cell]
        for cell in cells
    ]


def _inert(text: str) -> str:
    """Text that neither ends a Markdown cell nor opens a tag."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _json_section(section: Section) -> dict[str, Any]:
    columns = [
        {"metric": column.metric, "header": column.header, "unit": column.unit, "question": dict(column.question),
         "higher_is_better": column.higher_is_better, "differs": dict(column.differs)}
        for column in section.columns
    ]
    return {"data": section.data, "columns": columns, "rows": [_json_row(section, row) for row in section.rows],
            "baselines": [_json_row(section, row) for row in section.baselines], "flagged": list(section.flagged)}


def _json_row(section: Section, row: Row) -> dict[str, Any]:
    scores = [[_json_score(section, row, i, score) for score in cell] for i, cell in enumerate(row.cells)]
    if row.record is None:
        return {"label": row.label, "scores": scores}
    cost = {column.field: column.value(row.cost) for column in COSTS}
    tree = {"run": row.label, "family": row.record.family, "model": row.record.model, "seed": row.record.seed,
            "git_commit": row.record.git_commit, "directory": str(row.directory), "scores": scores, "cost": cost,
            "selection": _json_selection(section, row.record)}
    if not row.members:
        return tree
    # The means are of no single run.
    none = dict.fromkeys(("seed", "git_commit", "directory", "selection"))
    return tree | none | {"differ_in": differing(row.members),
                          "runs": [_json_row(section, member) for member in row.members]}


def _json_selection(section: Section, record: Record) -> dict[str, Any]:
    selection = record.selection
    return {"rule": selection.rule, "checkpoint": selection.checkpoint, "candidates": candidates(selection),
            "metric": selection.metric, "value": selection.value, "last_value": selection.last_value,
            "sweep": selection.sweep, "trials": section.trials.get(selection.sweep or "")}


def _json_score(section: Section, row: Row, column: int, score: Score) -> dict[str, Any]:
    record = row.record
    tree = {"value": score.value, "standard_error": score.standard_error, "kind": score.kind,
            "best": section.is_best(row, column, score), "answer": score.protocol.answer(),
            "protocol_hash": score.protocol.hash, "scored_with": encode(score.scored_with),
            "weights": score.protocol.weights, "error": encode(score.error), "per_example": score.per_example}
    if record is None:
        return tree
    gap, spread = train_gap(score, record), row.spread(score)
    if spread is not None:
        tree |= {"n": spread.count, "sd": spread.deviation}
    return tree | {
        "own_sampling": score.own_sampling, "competes": score in competing(row.cells[column], record),
        "selection": selection_text(score, row.cells[column], record), "flags": list(row.flags(score)),
        "train_gap": gap._asdict() if gap else None,
    }
