"""Generative adversarial networks: samples only, trained by a minimax objective."""

from lit_gen.families.gan.augmentation import Augmentation, DiffAugment
from lit_gen.families.gan.gan import GAN
from lit_gen.families.gan.generator_sampling import GeneratorSampling
from lit_gen.families.gan.objective import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    RelativisticPairing,
    Wasserstein,
)
from lit_gen.families.gan.penalty import DRAGAN, R1, R2, GradientPenalty, Penalty, R1AndR2
from lit_gen.families.gan.updates import Updates

__all__ = [
    "DRAGAN",
    "GAN",
    "R1",
    "R2",
    "Augmentation",
    "DiffAugment",
    "GeneratorSampling",
    "GradientPenalty",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Objective",
    "Penalty",
    "R1AndR2",
    "RelativisticPairing",
    "Updates",
    "Wasserstein",
]
