"""How often the generator and the discriminator are updated, and by which gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lit_gen.errors import UserError


@dataclass(frozen=True)
class Updates:
    """Discriminator steps for each generator step, parts of a batch, and clipping.

    Two learning rates (Heusel et al. 2017, arXiv:1706.08500) are those of the two optimizers.

    Attributes:
        discriminator_steps: Steps of the discriminator, each on a fresh batch, for one step of the generator.
        clip_norm: Largest gradient norm of either network; 0 means no clipping. The Trainer's own
            ``gradient_clip_val`` cannot be used with two optimizers.
        weight_clip: Largest absolute value of the discriminator's parameters, enforced after each of its steps; 0 means
            no limit (Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1).
        micro_batches: Parts into which each batch is split, one after another, whose gradients are added: less memory
            for the same ``data.batch_size``, which is the number of examples of an update on all processes together.
            Batch norm takes its statistics over a part. The Trainer's own ``accumulate_grad_batches`` cannot be used
            with two optimizers.

    Raises:
        UserError: If there is less than one step or part, or a limit is negative or not finite.
    """

    discriminator_steps: int = 1
    clip_norm: float = 0.0
    weight_clip: float = 0.0
    micro_batches: int = 1

    def __post_init__(self) -> None:
        """Validates the fields."""
        for name in ("discriminator_steps", "micro_batches"):
            if getattr(self, name) < 1:
                raise UserError(f"updates: {name}={getattr(self, name)} must be at least 1")
        for name in ("clip_norm", "weight_clip"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"updates: {name}={getattr(self, name)} must be at least 0, and finite")
