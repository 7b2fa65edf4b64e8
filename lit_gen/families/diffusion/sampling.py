"""Sampling options of diffusion models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lit_gen.contract import SamplingOptions
from lit_gen.errors import UserError, nearest
from lit_gen.families.diffusion.langevin import CORRECTORS, LANGEVIN_SAMPLERS, Langevin
from lit_gen.families.diffusion.reverse_diffusion import reverse_diffusion_ve, reverse_diffusion_vp
from lit_gen.families.diffusion.samplers import SAMPLERS, Sampler

_PLAIN = {**SAMPLERS, **{f.__name__: f for f in (reverse_diffusion_ve, reverse_diffusion_vp)}}


@dataclass(frozen=True)
class Sampling(SamplingOptions):
    """Sampling options; they apply to any model, and one checkpoint may be scored with several.

    Attributes:
        sampler: Name of the sampler: ``ancestral``, ``ddim``, ``edm_heun``, ``dpmpp_2m``, ``euler``, ``heun``,
            ``reverse_diffusion_ve``, ``reverse_diffusion_vp``; with Langevin dynamics ``pc_ancestral``,
            ``pc_reverse_ve``, ``pc_reverse_vp`` (predictor and corrector) or ``annealed_langevin``.
        steps: Number of steps; Heun's take two function evaluations each, except the last; null for all timesteps of a
            model with discrete time.
        guidance: Guidance scale of a model with classes: 1 for the class's samples, above exaggerates, 0 for no class.
        clip_denoised: Whether predicted data are clipped to the data's range in each step.
        langevin: Settings of the samplers with Langevin dynamics; others ignore them.
    """

    sampler: str = "ancestral"
    steps: int | None = None
    guidance: float = 1.0
    clip_denoised: bool = True
    langevin: Langevin = Langevin()

    def __post_init__(self) -> None:
        """Validates the fields.

        Raises:
            UserError: If a field is invalid.
        """
        if self.steps is not None and self.steps < 1:
            raise UserError(f"sampling: steps={self.steps} must be at least 1")
        names = [*_PLAIN, *LANGEVIN_SAMPLERS]
        if self.sampler not in names:
            known = f"{nearest(self.sampler, names)} (there are: {', '.join(names)})"
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

    def algorithm(self, name: str | None = None) -> Sampler:
        """The sampler of a name, or the chosen one, with its settings."""
        name = name or self.sampler
        if name not in LANGEVIN_SAMPLERS:
            return _PLAIN[name]
        with_settings, settings = LANGEVIN_SAMPLERS[name], self.langevin
        return lambda denoise, z, log_snrs, noise: with_settings(denoise, z, log_snrs, noise, settings)

    def langevin_settings(self, log_snrs: Sequence[float]) -> dict[str, str | int | float | bool]:
        """What a record says of the Langevin dynamics at these noise levels; nothing for a sampler without them."""
        how = self.langevin
        if self.sampler in CORRECTORS:
            return {"langevin_steps": how.steps, "snr": how.snr, "own_norm": how.own_norm}
        if self.sampler in LANGEVIN_SAMPLERS:
            return {"langevin_steps": how.steps, "step_size": float(f"{how.size(log_snrs):.4g}")}
        return {}
