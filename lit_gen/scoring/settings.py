"""What the user chooses of a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lit_gen.errors import UserError


@dataclass(frozen=True)
class Scoring:
    """The protocol of the final scores, as far as the user chooses it.

    Attributes:
        split: What is scored, and what samples are compared with: ``test`` or ``val``.
        num_samples: Number of samples behind the scores of samples.
        estimator: One of the family's likelihood estimators; null for its first.
        draws: Draws an example of that estimator.
        max_examples: Held-out examples whose likelihood is taken, drawn from the split by the seed; null for all.
        weights: ``ema``, ``raw``, or ``auto``: the average where the run kept one.
        seed: Names the scores' noise.
    """

    split: Literal["test", "val"] = "test"
    num_samples: int = 1_000
    estimator: str | None = None
    draws: int = 1
    max_examples: int | None = None
    weights: Literal["auto", "ema", "raw"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses what cannot be scored.

        Raises:
            UserError: Naming the field.
        """
        if self.num_samples < 20 or self.draws < 1:
            raise UserError(
                f"scoring: num_samples={self.num_samples} must be at least 20 and draws={self.draws} at least 1"
            )
        if self.max_examples is not None and self.max_examples < 2:
            raise UserError(
                f"scoring.max_examples is {self.max_examples}; a mean with an error takes 2 examples at least, null all"
            )
