"""Generative adversarial networks: samples only, trained by a minimax objective."""

from lit_gen.families.gan.gan import GAN
from lit_gen.families.gan.objective import Hinge, NonSaturating, Objective
from lit_gen.families.gan.penalty import R1, Penalty
from lit_gen.families.gan.updates import Updates

__all__ = [
    "GAN",
    "R1",
    "Hinge",
    "NonSaturating",
    "Objective",
    "Penalty",
    "Updates",
]
