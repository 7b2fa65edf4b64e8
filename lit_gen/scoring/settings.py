"""The user's options of a scoring protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lit_gen.errors import UserError


@dataclass(frozen=True)
class Scoring:
    """The user's options of the final scores' protocol.

    Attributes:
        split: Split to score and to compare samples with: ``test`` or ``val``.
        num_samples: Number of samples behind the sample scores.
        estimator: Name of one of the family's likelihood estimators; null for the first.
        draws: Number of the estimator's draws per example.
        max_examples: Number of held-out examples whose likelihood is computed, a random subset; null for all.
        weights: ``ema``, ``raw``, or ``auto`` for the average if the run kept one.
        seed: Seed of all random numbers in scoring.
    """

    split: Literal["test", "val"] = "test"
    num_samples: int = 1_000
    estimator: str | None = None
    draws: int = 1
    max_examples: int | None = None
    weights: Literal["auto", "ema", "raw"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Validates the fields.

        Raises:
            UserError: If a field is out of range.
        """
        if self.num_samples < 20 or self.draws < 1:
            raise UserError(
                f"scoring: num_samples={self.num_samples} must be at least 20 and draws={self.draws} at least 1"
            )
        if self.max_examples is not None and self.max_examples < 2:
            raise UserError(
                f"scoring.max_examples is {self.max_examples}; a standard error needs at least 2, null means all"
            )
