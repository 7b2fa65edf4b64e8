"""How a likelihood is estimated, and how samples are drawn: values that a model is given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lit_gen.errors import UserError


@dataclass(frozen=True)
class Estimation:
    """Which estimator computes a likelihood, and with how many draws.

    Attributes:
        estimator: Name of one of the family's ``estimators``; None for the first, which is the cheapest.
        draws: Number of random draws per example (importance samples, noise levels or probes, by estimator).
        replicates: Number of independent estimates per example, each with so many draws; their mean is the value, and
            their differences show the error from the draws.
        seed: Seed of the draws, which belong to the example (see :class:`lit_gen.noise.Noise`).
    """

    estimator: str | None = None
    draws: int = 1
    seed: int = 0
    replicates: int = 1


@dataclass(frozen=True)
class Diagnosis:
    """What a model says of itself in a validation, beside its scores.

    Attributes:
        values: Values by name, for curves.
        warnings: Warnings without the time, by their kind.
    """

    values: dict[str, float] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SamplingOptions:
    """How samples are drawn. A family with several samplers has a subclass with its own fields."""


@dataclass(frozen=True)
class Tempered(SamplingOptions):
    """Sampling with a temperature.

    Attributes:
        temperature: 1 samples from the model; smaller values reduce the diversity.

    Raises:
        UserError: If the temperature is negative or not finite.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Validates the field."""
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature={self.temperature} must be a number of at least 0")
