"""Formats numbers: scores with sign and error, costs with unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lit_gen.leaderboard.nfe_curves import evaluations
from lit_gen.leaderboard.spread import Spread
from lit_gen.records.cost import Cost
from lit_gen.records.score import SIGNS, Score


def fixed(value: float, decimals: int) -> str:
    """A number with so many digits after the point; with an exponent where it has more than nine before it.

    >>> fixed(3.14159, 2), fixed(1e308, 2), fixed(-0.2, 1)
    ('3.14', '1.00e+308', '-0.2')
    """
    return f"{value:.{decimals}f}" if abs(value) < 1e9 else f"{value:.{decimals}e}"


def score_figure(score: Score, decimals: int) -> str:
    """The number, with its sign if it is a likelihood, as `<= 3.12`."""
    number = fixed(score.value, decimals)
    return f"{SIGNS[score.kind]} {number}" if score.kind else number


def error_figure(score: Score, decimals: int, sign: str = "+-", spread: Spread | None = None) -> str:
    """The standard error, as `+- 0.01`, or the deviation between seeds, as `sd 0.01`; empty where there is none.

    Args:
        score: The score.
        decimals: Number of digits after the point.
        sign: What stands before a standard error.
        spread: The spread of a mean of several runs.
    """
    if spread is not None and spread.deviation is not None:
        return f"sd {fixed(spread.deviation, decimals)}"
    return "" if score.standard_error is None else f"{sign} {fixed(score.standard_error, decimals)}"


def gap_figure(gap: float, decimals: int) -> str:
    """The difference of test and train, as `gap +0.12`."""
    return f"gap {'+' if gap >= 0 else ''}{fixed(gap, decimals)}"


def count(value: float) -> str:
    """A count in three digits.

    >>> count(950), count(1234), count(61.6e6), count(999_960)
    ('950', '1.23k', '61.6M', '1.00M')
    """
    for power, suffix in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        # 999,960 is "1.00M" and not "1000k": the suffix follows from the rounded number.
        if float(f"{value:.2e}") >= 10**power:
            scaled = value / 10**power
            return f"{scaled:.{max(0, 3 - len(str(int(float(f'{scaled:.2e}')))))}f}{suffix}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """A time in its two largest units.

    >>> duration(0.85), duration(42), duration(83.4), duration(7260), duration(200_000)
    ('0.85 s', '42 s', '1 min 23 s', '2 h 01 min', '2 d 07 h')
    >>> duration(300), duration(3600)
    ('5 min', '1 h')
    """
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for small, unit, large, next_unit, limit in _STEPS:
        if whole < limit:
            rest = whole % large // small
            return f"{whole // large} {next_unit}" + (f" {rest:02d} {unit}" if rest else "")
    raise AssertionError("the last step has no limit")


# Seconds in the smaller unit, its name, the same of the larger, and the time from which the next pair serves.
_STEPS = (
    (1, "s", 60, "min", 3600),
    (60, "min", 3600, "h", 86_400),
    (3600, "h", 86_400, "d", float("inf")),
)


def three_digits(value: float) -> str:
    """A number in three significant digits, without exponent.

    >>> three_digits(0.01234), three_digits(12.345), three_digits(12345.6)
    ('0.0123', '12.3', '12346')
    """
    if value >= 100 or value == 0:
        return f"{value:.0f}"
    return f"{value:#.3g}" if value >= 1e-4 else f"{value:.1e}"


def tick_count(value: float) -> str:
    """A round count, without trailing zeros.

    >>> tick_count(500), tick_count(2e4), tick_count(1e6)
    ('500', '20k', '1M')
    """
    for power, suffix in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{value / 10**power:g}{suffix}"
    return f"{value:g}"


# In seconds: round numbers of seconds, minutes, hours and days.
_ROUND_TIMES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 5 * 3600,
                10 * 3600, 86_400, 2 * 86_400, 5 * 86_400, 10 * 86_400)


class CostColumn(NamedTuple):
    """A column of cost.

    Attributes:
        field: Name of the column's field in `Cost`.
        header: Header of the column.
        small: Rest of the header, printed small below it on the page.
        title: The whole header.
        figure: Function that formats its numbers.
        tick: Function that formats round numbers, on an axis.
        round_values: Round values of the axis, if these are not powers of ten.
        later: Whether records of earlier versions lack it.
        own: Cost of a single score, if its protocol contains it; otherwise None, and the run's cost is used.
    """

    field: str
    header: str
    small: str
    title: str
    figure: Callable[[float], str]
    tick: Callable[[float], str]
    round_values: Sequence[float] = ()
    later: bool = False
    own: Callable[[Score], float | None] = lambda score: None

    def value(self, cost: Cost | None) -> float | None:
        """Number in the cell; None if it was not measured."""
        found: float | None = getattr(cost, self.field) if cost else None
        return found

    def text(self, cost: Cost | None) -> str:
        """Text of the cell; empty for a baseline, which has no cost."""
        if cost is None:
            return ""
        value = self.value(cost)
        return "n/a" if value is None else self.figure(value)


COSTS = (
    CostColumn("parameters", "params", "", "parameters", count, tick_count),
    CostColumn("examples_seen", "examples seen", "", "training examples seen", count, tick_count),
    CostColumn("train_seconds", "train time", "", "training time", duration, duration, _ROUND_TIMES),
    CostColumn("seconds_per_1000_samples", "s/1000", "samples", "seconds per 1,000 samples", three_digits,
               "{:g}".format),
    CostColumn("function_evaluations_per_sample", "NFE", "a sample", "function evaluations per sample",
               "{:.0f}".format, tick_count, own=evaluations),
    CostColumn("flops_per_training_example", "FLOPs/example", "trained", "operations per training example", count,
               tick_count, later=True),
    CostColumn("flops_per_sample", "FLOPs/sample", "", "operations per sample", count, tick_count, later=True),
)
