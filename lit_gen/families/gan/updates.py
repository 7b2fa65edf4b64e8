"""How often the generator and the discriminator are updated."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lit_gen.errors import UserError


@dataclass(frozen=True)
class Updates:
    """Discriminator steps for each generator step, and clipping of both.

    Attributes:
        discriminator_steps: Steps of the discriminator, each on a fresh batch, for one step of the generator.
        clip_norm: Largest gradient norm of either network; 0 means no clipping. The Trainer's own
            ``gradient_clip_val`` cannot be used with two optimizers.

    Raises:
        UserError: If there is less than one step, or the norm is negative or not finite.
    """

    discriminator_steps: int = 1
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        """Validates the fields."""
        if self.discriminator_steps < 1 or not 0 <= self.clip_norm < math.inf:
            raise UserError(
                f"updates: discriminator_steps={self.discriminator_steps} must be at least 1,"
                f" and clip_norm={self.clip_norm} at least 0"
            )
