"""Sampling options of diffusion models."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lit_gen.contract import SamplingOptions
from lit_gen.errors import UserError, nearest
from lit_gen.families.diffusion.samplers import SAMPLERS


@dataclass(frozen=True)
class Sampling(SamplingOptions):
    """Sampling options; they apply to any model, and one checkpoint may be scored with several.

    Attributes:
        sampler: Name of the sampler: ``ancestral``, ``ddim``, ``edm_heun``, ``dpmpp_2m``, ``euler`` or ``heun``.
        steps: Number of steps; Heun's take two function evaluations each, except the last; null for all timesteps of a
            model with discrete time.
        guidance: Guidance scale of a model with classes: 1 for the class's samples, above exaggerates, 0 for no class.
        clip_denoised: Whether predicted data are clipped to the data's range in each step.
    """

    sampler: str = "ancestral"
    steps: int | None = None
    guidance: float = 1.0
    clip_denoised: bool = True

    def __post_init__(self) -> None:
        """Validates the fields.

        Raises:
            UserError: If a field is invalid.
        """
        if self.steps is not None and self.steps < 1:
            raise UserError(f"sampling: steps={self.steps} must be at least 1")
        if self.sampler not in SAMPLERS:
            known = f"{nearest(self.sampler, SAMPLERS)} (there are: {', '.join(SAMPLERS)})"
            raise UserError(f"sampling: there is no sampler '{self.sampler}'{known}")
        if not 0 <= self.guidance < math.inf:
            raise UserError(f"sampling: guidance={self.guidance:g} must be a number, and not negative")

    @property
    def num_steps(self) -> int:
        """The number of steps.

        Raises:
            UserError: If it is null, and the model has no timesteps that determine it.
        """
        if self.steps is None:
            raise UserError("sampling: steps must be given for a model in continuous time")
        return self.steps
