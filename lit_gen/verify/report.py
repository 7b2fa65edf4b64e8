"""The result in print: a table of both numbers, what differs about the place, and a closing sentence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from lit_gen.leaderboard.printable import printable
from lit_gen.records.protocol import Protocol
from lit_gen.records.record import Record
from lit_gen.records.score import Score
from lit_gen.verify.agreement import Comparison, agreeing_digits, relative_difference, verdict
from lit_gen.verify.surroundings import Difference, in_words


def print_report(
    record: Record, comparisons: Sequence[Comparison], differences: Sequence[Difference], notes: Sequence[str]
) -> None:
    """Prints the table, what could not be taken again, what differs about the environment, and a sentence.

    Args:
        record: The record.
        comparisons: Its scores beside those that were taken again.
        differences: What differs about environment, code and data.
        notes: Remarks on the checkpoint.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(f"{record.run_name}: {record.model} on {record.data}")), title_justify="left")
    for heading in ("score", "recorded", "here", "protocol"):
        # Nothing of a number may be cut off in a narrow terminal: what is long is folded.
        table.add_column(heading, overflow="fold", no_wrap=heading in ("score", "recorded"))
    for comparison in comparisons:
        for row in _rows(comparison):
            table.add_row(*(Text(printable(cell)) for cell in row))
        table.add_section()
    console = Console()
    console.print(table)
    lines = list(notes)
    lines += [f"{_label(c.recorded)}: not taken again: {c.reason}" for c in comparisons if c.here is None]
    if differences:
        lines.append(f"environment: {in_words(differences)}")
    for line in [*dict.fromkeys(lines), summary(comparisons, differences)]:
        console.print(Text(printable(line)), soft_wrap=True)


def _rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """Rows of a score: its value, and its standard error if there is one."""
    recorded, protocol = comparison.recorded, _in_short(comparison.recorded.protocol)
    if comparison.here is None:
        return [(_label(recorded), repr(recorded.value), "not taken again", protocol)]
    rows = []
    for name, a, b in comparison.pairs():
        if (a, b) != (None, None):
            here = _beside(b, relative_difference(a, b), comparison.tolerance)
            rows.append((name or _label(recorded), _number(a), here, "" if name else protocol))
    return rows


def _number(value: float | None) -> str:
    return "none" if value is None else repr(value)


def _beside(number: float | None, difference: float, tolerance: float) -> str:
    """A number that was taken again, and how far it agrees."""
    if difference == 0:
        return "identical"
    if difference == math.inf:
        return f"{_number(number)} (different)"
    how = "different: " if verdict(difference, tolerance) == "different" else ""
    return f"{_number(number)} ({how}{agreeing_digits(difference)} digits agree, relative difference {difference:.1e})"


def _in_short(protocol: Protocol) -> str:
    """What distinguishes the scores of one record."""
    if protocol.num_samples is None:
        parts = [protocol.estimator, f"{protocol.num_examples:,} examples" if protocol.num_examples else None]
    else:
        steps = protocol.sampler_settings.get("steps")
        parts = [protocol.sampler, f"{steps} steps" if steps else None, f"{protocol.num_samples:,} samples"]
    return ", ".join(part for part in (protocol.split, *parts, f"{protocol.weights} weights") if part)


def summary(comparisons: Sequence[Comparison], differences: Sequence[Difference]) -> str:
    """The result in a sentence.

    Args:
        comparisons: The scores beside those that were taken again.
        differences: What differs about environment, code and data; said only if a score differs.
    """
    total, counts = len(comparisons), Counter(c.verdict for c in comparisons)
    if counts["identical"] == total:
        return "the score is identical" if total == 1 else f"all {total} scores are identical"
    parts = [f"{counts['identical']} of {total} scores {'is' if counts['identical'] == 1 else 'are'} identical"]
    rounded = [c for c in comparisons if c.verdict == "rounding"]
    if rounded:
        digits = min(agreeing_digits(c.difference) for c in rounded)
        parts.append(f"{len(rounded)} {'agrees' if len(rounded) == 1 else 'agree'} to {digits} digits")
    if counts["not taken"]:
        parts.append(f"{counts['not taken']} could not be taken again")
    different = [c for c in comparisons if c.verdict == "different"]
    if different:
        count = f"{len(different)} {'differs' if len(different) == 1 else 'differ'}"
        parts.append(f"{count}: {'; '.join(_both(c) for c in different)}")
    sentence = ", ".join(parts)
    unlike = len(different) + counts["not taken"]
    return f"{sentence}; differing: {in_words(differences)}" if differences and unlike else sentence


def _both(comparison: Comparison) -> str:
    """The first differing pair of numbers in full."""
    label = _label(comparison.recorded)
    for name, a, b in comparison.pairs():
        if verdict(relative_difference(a, b), comparison.tolerance) == "different":
            what = f"{name} of {label}" if name else label
            return f"{what} {_number(a)} was recorded, {_number(b)} here"
    raise AssertionError("a score that differs has a differing number")


def _label(score: Score) -> str:
    """A score's label, with the split if it is of training examples."""
    return f"{score.label} (train)" if score.protocol.split == "train" else score.label
