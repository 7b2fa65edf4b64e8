"""How samples are drawn from a diffusion model: which sampler, in how many steps, guided or not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lit_gen.contract import SamplingOptions
from lit_gen.errors import UserError, nearest
from lit_gen.families.diffusion.samplers import SAMPLERS


@dataclass(frozen=True)
class Sampling(SamplingOptions):
    """How samples are drawn; any model takes any of these, and one checkpoint may be scored with several.

    Attributes:
        sampler: ``ancestral``, ``ddim``, ``edm_heun``, ``dpmpp_2m``, ``euler`` or ``heun``.
        steps: Steps of the sampler, of which those of Heun take two function evaluations each but for the last; null
            for all timesteps of a model that has timesteps.
        guidance: Of a model with classes: 1 for the class's own samples, more to exaggerate it, 0 for no class.
        clip_denoised: Whether predicted data are held within the range of data at each step.
    """

    sampler: str = "ancestral"
    steps: int | None = None
    guidance: float = 1.0
    clip_denoised: bool = True

    def __post_init__(self) -> None:
        """Refuses what is no sampler.

        Raises:
            UserError: Naming the field.
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
        """The steps, where they are known.

        Raises:
            UserError: They are null, and the model has no timesteps that say how many.
        """
        if self.steps is None:
            raise UserError("sampling: steps must be given for a model in continuous time")
        return self.steps
