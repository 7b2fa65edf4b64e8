"""What the standard error of a likelihood consists of, and whether it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PARETO_LIMIT = 0.7
"""Largest shape of a generalized Pareto tail at which a mean and its error are reliable with a usual number of draws.

Vehtari, Simpson, Gelman, Yao, Gabry: Pareto Smoothed Importance Sampling, 2024, arXiv:1507.02646.
"""


@dataclass(frozen=True, kw_only=True)
class ErrorParts:
    """Parts of a standard error, in the unit of the score.

    Attributes:
        from_examples: Error from which examples are in the split; None if it was not measured.
        from_draws: Error from the random draws of the estimator; 0 for an exact value, None if each example has only
            one independent estimate.
        group: What is taken to be independent, a noun in the singular: `example`, `recording`, `block of 12 windows`.
        num_groups: Number of such groups; None if every example is its own.
        pareto_k: Shape of the heaviest tail found, among examples and among draws; above `PARETO_LIMIT` the mean and
            its error are not reliable. None with too few values to tell.
        extra: Keys of the file that this version does not know, with their values.

    Raises:
        ValueError: A number is negative or not finite, or there are fewer than two groups.
    """

    from_examples: float | None = None
    from_draws: float | None = None
    group: str = "example"
    num_groups: int | None = None
    pareto_k: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("from_examples", "from_draws"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"error.{name} must be finite and not negative, got {value}")
        if self.pareto_k is not None and not math.isfinite(self.pareto_k):
            raise ValueError(f"error.pareto_k must be finite, got {self.pareto_k}")
        if self.num_groups is not None and self.num_groups < 2:
            raise ValueError(f"error.num_groups must be at least 2, got {self.num_groups}")
        if not self.group.isprintable():
            raise ValueError(f"error.group must be printable, got {self.group!r}")

    @property
    def heavy_tailed(self) -> bool:
        """Whether the tail is too heavy for the mean and its error to be reliable."""
        return self.pareto_k is not None and self.pareto_k > PARETO_LIMIT
