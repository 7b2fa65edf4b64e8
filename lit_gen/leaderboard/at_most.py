"""The best for at most so much: of parameters, training examples or training time, from validations on the way."""

from __future__ import annotations

import dataclasses
import math
import re
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from lit_gen.errors import UserError
from lit_gen.leaderboard.figures import count, duration, fixed
from lit_gen.leaderboard.printable import printable
from lit_gen.leaderboard.table import Row, Section
from lit_gen.records.cost import Cost
from lit_gen.records.selection import Selection
from lit_gen.records.validation import Validation, best_within

_POWERS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_LIMIT = re.compile(r"(\d+(?:\.\d+)?)(k|m|g|b)?(-?examples|s|min|h|d)?", re.IGNORECASE)
_DIGITS = 4
_REMARK = """\
Values are of validations on the way, by which checkpoints were chosen: not of the test split.
Times are of the machines that trained.
"""


class Limits(NamedTuple):
    """Largest costs.

    Attributes:
        parameters: Trainable parameters of the model.
        examples: Training examples seen.
        seconds: Wall time of training in seconds.
    """

    parameters: float = math.inf
    examples: float = math.inf
    seconds: float = math.inf

    @property
    def of_training(self) -> bool:
        """Whether a limit ends training early."""
        return min(self.examples, self.seconds) < math.inf

    def __str__(self) -> str:
        said = [f"{count(self.parameters)} parameters" if self.parameters < math.inf else "",
                f"{count(self.examples)} examples" if self.examples < math.inf else "",
                f"{duration(self.seconds)} of training" if self.seconds < math.inf else ""]
        return ", ".join(part for part in said if part)


class Best(NamedTuple):
    """The best of a row for at most so much.

    Attributes:
        row: The row.
        metric: The quantity watched.
        values: One validation of each run that has one within the limits.
        higher_is_better: Whether a higher value is better.
    """

    row: Row
    metric: str
    values: tuple[Validation, ...]
    higher_is_better: bool

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return math.fsum(v.value / len(self.values) for v in self.values)


def parse_limits(texts: Sequence[str]) -> Limits:
    """Reads limits.

    Args:
        texts: `1M` for parameters, `100k-examples`, or a time as `10min`, `2h`.

    Raises:
        UserError: A text is none of these, or a cost is limited twice.

    >>> parse_limits(["1M", "10min"])
    Limits(parameters=1000000.0, examples=inf, seconds=600.0)
    """
    given: dict[str, float] = {}
    for text in texts:
        found = _LIMIT.fullmatch(text)
        unit = (found[3] or "").lower() if found else ""
        if found is None or (unit in _SECONDS and found[2]):
            raise UserError(f"--at-most: '{printable(text)}' is no limit; give parameters (1M), examples "
                            "(100k-examples) or a time (30s, 10min, 2h)")
        name = "seconds" if unit in _SECONDS else "examples" if unit else "parameters"
        if name in given:
            raise UserError(f"--at-most: {name} are limited twice")
        given[name] = float(found[1]) * _SECONDS.get(unit, _POWERS[(found[2] or "").lower()])
    return Limits(**given)


def small_enough(section: Section, limits: Limits) -> Section:
    """The section with the rows whose models have no more parameters than allowed; an unknown number is not."""
    rows = tuple(row for row in section.rows if row.cost and _parameters(row.cost) <= limits.parameters)
    return dataclasses.replace(section, rows=rows)


def _parameters(cost: Cost) -> float:
    return math.inf if cost.parameters is None else cost.parameters


def best_of_rows(section: Section, limits: Limits) -> list[Best]:
    """The best validations within the limits, metric by metric and best first; rows without one are left out."""
    found = []
    for row in small_enough(section, limits).rows:
        by_metric: dict[tuple[str, bool], list[Validation]] = {}
        for run in row.runs:
            assert run.record is not None
            selection = run.record.selection
            if selection.metric and (best := _best(selection, limits)):
                by_metric.setdefault((selection.metric, selection.higher_is_better), []).append(best)
        found += [Best(row, metric, tuple(values), higher) for (metric, higher), values in by_metric.items()]
    return sorted(found, key=lambda b: (b.metric, -b.mean if b.higher_is_better else b.mean))


def _best(selection: Selection, limits: Limits) -> Validation | None:
    return best_within(selection.validations, higher_is_better=selection.higher_is_better, examples=limits.examples,
                       seconds=limits.seconds)


def at_most_text(sections: Sequence[Section], limits: Limits) -> str:
    """The best validations within the limits, as text for a terminal.

    Raises:
        UserError: No run has one.
    """
    found = {section.data: best_of_rows(section, limits) for section in sections}
    if not any(found.values()):
        raise UserError(f"no run has a validation within {limits}; records hold validations since this version, and "
                        "trainer.check_val_every_n_epoch or trainer.val_check_interval makes them more frequent")
    lines = []
    for section in sections:
        lines += [f"{printable(section.data)}: best validation for at most {limits}", *_lines(found[section.data]), ""]
    return "\n".join([*lines, _REMARK])


def _lines(found: Sequence[Best]) -> list[str]:
    table = [("family", "run", "watched", "best", "", "examples seen", "after")]
    for best in found:
        values = [v.value for v in best.values]
        assert best.row.record is not None
        spread = f"sd {fixed(statistics.stdev(values), _DIGITS)}" if len(values) > 1 else ""
        few = f" n={len(values)}" if best.row.members and len(values) != len(best.row.members) else ""
        seconds = [v.seconds for v in best.values if v.seconds is not None]
        table.append((
            printable(best.row.record.family), printable(best.row.label), printable(best.metric),
            fixed(best.mean, _DIGITS), spread + few, count(statistics.fmean(v.examples_seen for v in best.values)),
            duration(statistics.fmean(seconds)) if len(seconds) == len(values) else "n/a",
        ))
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return ["  " + "  ".join(text.ljust(w) if i < 3 or i == 4 else text.rjust(w)
                             for i, (text, w) in enumerate(zip(line, widths, strict=True))).rstrip() for line in table]


def at_most_tree(sections: Sequence[Section], limits: Limits) -> dict[str, Any]:
    """The same as plain values, for JSON."""
    rows = [
        {"data": section.data, "run": best.row.label, "metric": best.metric, "higher_is_better": best.higher_is_better,
         "mean": best.mean, "values": [{"value": v.value, "examples_seen": v.examples_seen, "seconds": v.seconds}
                                       for v in best.values]}
        for section in sections for best in best_of_rows(section, limits)
    ]
    known = {name: value for name, value in limits._asdict().items() if value < math.inf}
    return {"at_most": known, "best_validations": rows}
