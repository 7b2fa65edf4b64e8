"""The user's options of a scoring protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lit_gen.errors import UserError

MOST_SAMPLES = 10_000_000
"""Largest number of samples of one score: their positions alone take 80 MB."""


@dataclass(frozen=True)
class Scoring:
    """The user's options of the final scores' protocol.

    Attributes:
        split: Split to score and to compare samples with: ``test`` or ``val``.
        num_samples: Number of samples behind the sample scores.
        estimator: Name of one of the family's likelihood estimators; null for the first.
        draws: Number of the estimator's draws per example.
        replicates: Number of independent estimates per example, each with so many draws; two or more show how
            much of the error comes from draws.
        max_examples: Number of held-out examples whose likelihood is computed, a random subset; null for all.
        train_likelihood: Whether to compute the likelihood of as many training examples too, to show overfitting.
        weights: ``ema``, ``raw``, or ``auto`` for the average if the run kept one.
        seed: Seed of all random numbers in scoring.
    """

    split: Literal["test", "val"] = "test"
    num_samples: int = 1_000
    estimator: str | None = None
    draws: int = 1
    replicates: int = 2
    max_examples: int | None = None
    train_likelihood: bool = True
    weights: Literal["auto", "ema", "raw"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Validates the fields.

        Raises:
            UserError: If a field is out of range.
        """
        if self.num_samples > MOST_SAMPLES:
            raise UserError(f"scoring.num_samples is {self.num_samples}; give {MOST_SAMPLES:,} at most")
        for name, least in (("num_samples", 20), ("draws", 1), ("replicates", 1)):
            if getattr(self, name) < least:
                raise UserError(f"scoring: {name}={getattr(self, name)} must be at least {least}")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"scoring.seed is {self.seed}; give a whole number from 0 to 2**63 - 1")
        if self.max_examples is not None and self.max_examples < 2:
            raise UserError(
                f"scoring.max_examples is {self.max_examples}; a standard error needs at least 2, null means all"
            )
