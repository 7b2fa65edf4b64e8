"""How far two numbers agree: to the last bit, within rounding, or not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lit_gen.records.score import Score

Verdict = Literal["identical", "rounding", "different", "not taken"]


def relative_difference(a: float | None, b: float | None) -> float:
    """Difference of two numbers divided by the larger one; infinite if only one of them is a number.

    >>> relative_difference(2.0, 2.0), relative_difference(1.0, 2.0), relative_difference(None, 0.0)
    (0.0, 0.5, inf)
    """
    if a is None or b is None:
        return 0.0 if a is b else math.inf
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def agreeing_digits(difference: float) -> int:
    """Number of significant digits that agree at a relative difference.

    >>> agreeing_digits(2e-8), agreeing_digits(0.5), agreeing_digits(math.inf)
    (7, 0, 0)
    """
    return max(0, math.floor(-math.log10(difference))) if 0 < difference < math.inf else 0


@dataclass(frozen=True)
class Comparison:
    """A recorded score beside the one that was taken again.

    Attributes:
        recorded: The recorded score.
        here: The one of the same protocol that was taken again; None if there is none.
        tolerance: Largest relative difference that counts as rounding.
        reason: Why there is none.
        data: Names of the data's hashes that differ, if that is why, with both values.
    """

    recorded: Score
    here: Score | None
    tolerance: float
    reason: str = ""
    data: tuple[tuple[str, str, str], ...] = ()

    def pairs(self) -> Iterator[tuple[str, float | None, float | None]]:
        """Name, recorded number and number here, of the value and of the standard error."""
        if self.here is not None:
            yield "", self.recorded.value, self.here.value
            yield "standard error", self.recorded.standard_error, self.here.standard_error

    @property
    def difference(self) -> float:
        """The largest relative difference, of value and standard error."""
        return max((relative_difference(a, b) for _, a, b in self.pairs()), default=math.inf)

    @property
    def verdict(self) -> Verdict:
        """How far the two agree."""
        if self.here is None:
            return "not taken"
        return verdict(self.difference, self.tolerance)


def verdict(difference: float, tolerance: float) -> Verdict:
    """Judges a relative difference."""
    if difference == 0:
        return "identical"
    return "rounding" if difference <= tolerance else "different"
