"""Scores of runs that differ in their seed alone, as one: mean, standard deviation, and the error of the mean.

A run's value is x = mu + a + c + d: `a` belongs to its training seed, `c` is the error that all runs of the group have
in common, since they are scored on the same examples with the same noise, and `d` the rest of the measurement error.
The standard deviation s between n runs holds `a` and `d`, and not `c`, so that

    variance of the mean = s^2 / n + variance of c.

- **A likelihood**: how hard the examples of the split are is common to all models, so `c` is taken to have the whole
  standard error of a run (the root mean square of the members'). That is at most too large, by what is `d`. Where
  values per example are at hand, a difference takes the error of paired examples in its place (`paired.py`).
- **A score of samples**: each model draws samples of its own, so that `c` is 0 and s holds the whole error. As few
  values may be equal by chance, s is taken to be at least the root mean square of the members' errors.

With few runs s itself is uncertain: a difference of two standard errors of 3 runs is within chance in one of five
cases, not one of twenty. Comparisons therefore multiply s / sqrt(n) by the quotient of the quantiles of Student's
distribution with n - 1 degrees of freedom and of the normal distribution at two standard errors (2.26 for three runs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_gen.records.score import Score

_STUDENT = (6.98, 2.26, 1.65, 1.43, 1.32, 1.26, 1.22, 1.19, 1.16)
"""t(0.97725, k) / 2 for k = 1 to 9 degrees of freedom; 1 + 1.4 / k is right to 0.01 beyond."""


def student_factor(count: int) -> float:
    """How much larger two standard errors of a mean of `count` values are than with a known standard deviation.

    >>> [round(student_factor(count), 2) for count in (2, 3, 5, 11, 101)]
    [6.98, 2.26, 1.43, 1.14, 1.01]
    """
    degrees = count - 1
    return _STUDENT[degrees - 1] if degrees <= len(_STUDENT) else 1 + 1.4 / degrees


@dataclass(frozen=True)
class Member:
    """One run's score in a mean.

    Attributes:
        score: The score.
        directory: Directory of the run's record; None if it is not known.
        label: The run's name.
    """

    score: Score
    directory: Path | None
    label: str


@dataclass(frozen=True)
class Spread:
    """What is known of a mean beside its value.

    Attributes:
        members: The scores of the runs that have one, at least one.
        flagged: One line for each member that is not to be taken at face value, with the run's name in front.
    """

    members: tuple[Member, ...]
    flagged: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of runs behind the mean."""
        return len(self.members)

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return math.fsum(member.score.value / self.count for member in self.members)

    @property
    def deviation(self) -> float | None:
        """Standard deviation between the runs, with n - 1 in the denominator; None for one run."""
        if self.count < 2:
            return None
        mean = self.mean
        return math.hypot(*(member.score.value - mean for member in self.members)) / math.sqrt(self.count - 1)

    @property
    def measured(self) -> float | None:
        """Root mean square of the members' standard errors; None if none has one."""
        errors = [m.score.standard_error for m in self.members if m.score.standard_error is not None]
        return math.hypot(*errors) / math.sqrt(len(errors)) if errors else None

    def error(self) -> float | None:
        """Standard error of the mean; None if it is not known: of one run without one."""
        if self.count < 2:
            return self.measured
        return math.hypot(*parts(self.members[0].score, self, factor=1.0))


def parts(score: Score, spread: Spread | None, *, factor: float | None = None) -> tuple[float, float]:
    """The two parts of a score's standard error: its own, and that which other scores on the same examples share.

    Args:
        score: The score of a run, or of a group.
        spread: The group's spread; None for a run.
        factor: What the standard deviation of few runs is multiplied by; None for `student_factor`.
    """
    if spread is None or spread.deviation is None:
        error = (spread.measured if spread else score.standard_error) or 0.0
        return (error, 0.0) if score.kind is None else (0.0, error)
    measured = spread.measured or 0.0
    factor = student_factor(spread.count) if factor is None else factor
    seeds = factor * spread.deviation
    if score.kind is None:
        return max(seeds, measured) / math.sqrt(spread.count), 0.0
    return seeds / math.sqrt(spread.count), measured


def spread_text(spread: Spread | None, of: Sequence[object]) -> str:
    """The number of runs behind a mean, as `n=2`, if that is not the number of the group's runs; else empty."""
    return f"n={spread.count}" if spread is not None and spread.count != len(of) else ""
