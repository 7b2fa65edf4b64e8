"""How samples are drawn from a diffusion model: which sampler, in how many steps, guided or not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from lit_gen.errors import UserError
from lit_gen.families.diffusion.samplers import SAMPLERS

SamplerName = Literal["ancestral", "ddim", "edm_heun", "dpmpp_2m", "euler", "heun"]


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn; any model takes any of these, and one checkpoint may be scored with several.

    Attributes:
        sampler: ``ancestral``, ``ddim``, ``edm_heun``, ``dpmpp_2m``, ``euler`` or ``heun``.
        steps: Of the sampler; those of Heun take two function evaluations each, but for the last.
        guidance: Of a model with classes: 1 for the class's own samples, more to exaggerate it, 0 for no class.
        clip_denoised: Whether predicted data are held within the range of data at each step.
    """

    sampler: SamplerName = "ancestral"
    steps: int = 250
    guidance: float = 1.0
    clip_denoised: bool = True

    def __post_init__(self) -> None:
        """Refuses what is no sampler.

        Raises:
            UserError: Naming the field.
        """
        if self.steps < 1:
            raise UserError(f"sampling: steps={self.steps} must be at least 1")
        if self.sampler not in SAMPLERS:
            raise UserError(f"sampling: there is no sampler '{self.sampler}'; there are {', '.join(SAMPLERS)}")
        if not 0 <= self.guidance < math.inf:
            raise UserError(f"sampling: guidance={self.guidance:g} must be a number, and not negative")

    @staticmethod
    def samplers() -> tuple[str, ...]:
        """The samplers' names."""
        return tuple(SAMPLERS)
