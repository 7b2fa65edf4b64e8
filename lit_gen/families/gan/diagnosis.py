"""Signs of an overfitted discriminator and of a collapsed generator."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_gen.contract import Diagnosis
from lit_gen.families.gan.objective import Objective

LEAST_DIVERSITY = 0.1
"""Diversity, relative to the data's, below which samples are said to have collapsed."""


def diversity(x: Tensor) -> float:
    """Mean Euclidean distance of all pairs of different examples ``[B, *shape]``."""
    return float(torch.pdist(x.flatten(1).float()).mean())


def diagnosed(
    objective: Objective, train: Tensor, held_out: Tensor, fake: Tensor, relative_diversity: float
) -> Diagnosis:
    """The discriminator's accuracies, a measure of its overfitting, and the samples' diversity.

    - ``accuracy_train``, ``accuracy_held_out`` and ``accuracy_fake``: shares of training examples and of held-out
      examples that the discriminator takes for real, and of samples that it does not.
    - ``discriminator_overfitting``: where its mean output for held-out examples lies between those for training
      examples (0) and for samples (1): r_v of Karras et al. 2020, arXiv:2006.06676, equation 1. Like an accuracy of a
      Wasserstein critic, it is not changed by a shift of the outputs.
    - ``diversity``: mean distance of two samples relative to that of two held-out examples.

    Args:
        objective: Determines the boundary between real and not.
        train: The discriminator's outputs for training examples, ``[B]``.
        held_out: Its outputs for held-out examples.
        fake: Its outputs for samples.
        relative_diversity: The diversity.
    """
    boundary = objective.boundary(train, fake)
    distance = float(train.mean() - fake.mean())
    overfitting = float(train.mean() - held_out.mean()) / distance if distance > 0 else 0.0
    values = {
        "accuracy_train": float((train > boundary).float().mean()),
        "accuracy_held_out": float((held_out > boundary).float().mean()),
        "accuracy_fake": float((fake < boundary).float().mean()),
        "discriminator_overfitting": overfitting,
        "diversity": relative_diversity,
    }
    warnings = {}
    if relative_diversity < LEAST_DIVERSITY:
        warnings["collapse"] = f"samples have collapsed: diversity {100 * relative_diversity:.2g}% of the data's"
    return Diagnosis(values, warnings)
