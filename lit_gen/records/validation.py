"""Validations along the training: what the best score for less training is read from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_VALIDATIONS = 200
"""Validations that a record holds at most: about 15 kB."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """One validation that was a candidate for the checkpoint.

    Attributes:
        examples_seen: Training examples shown before it.
        value: The quantity watched, `selection.metric`.
        seconds: Wall time of training before it, validations left out; None where it was not measured.
        extra: Keys of the file that this version does not know, with their values.

    Raises:
        ValueError: A number is negative or not finite; the value may be negative.
    """

    examples_seen: int
    value: float
    seconds: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"a validation's value must be finite, got {self.value}")
        for name in ("examples_seen", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"a validation's {name} must be finite and not negative, got {value}")


def thinned(found: Sequence[Validation], most: int = MOST_VALIDATIONS) -> list[Validation]:
    """At most so many validations, evenly spread; the first and the last are among them.

    >>> [v.examples_seen for v in thinned([Validation(examples_seen=i, value=0.0) for i in range(9)], 3)]
    [0, 4, 8]
    """
    if len(found) <= most:
        return list(found)
    return [found[round(i * (len(found) - 1) / (most - 1))] for i in range(most)]


def best_within(
    found: Sequence[Validation], *, higher_is_better: bool, examples: float = math.inf, seconds: float = math.inf
) -> Validation | None:
    """The best validation for at most so much training; None if there was none by then.

    Args:
        found: The validations.
        higher_is_better: Whether a higher value is better.
        examples: Largest number of training examples.
        seconds: Largest wall time of training; where it is not infinite, one without a time does not count.
    """
    able = [v for v in found if v.examples_seen <= examples
            and (seconds == math.inf or (v.seconds is not None and v.seconds <= seconds))]
    return min(able, key=lambda v: -v.value if higher_is_better else v.value, default=None)
