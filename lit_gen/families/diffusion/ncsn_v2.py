"""Noise conditional score networks with the improved techniques."""

from __future__ import annotations

import math

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.langevin import Langevin
from lit_gen.families.diffusion.ncsn import NCSN, Ladder
from lit_gen.families.diffusion.noise_levels import finest_log_snr
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.prediction import scales
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.families.diffusion.score_matching import ScoreMatching
from lit_gen.nets import DenoisingNets
from lit_gen.optim import AdamW

_LARGEST_RATIO = 2.0


class NCSNv2(NCSN):
    """The improved techniques, by their numbers in the paper.

    1. ``sigma_max`` is the largest distance between two training examples (:func:`largest_distance`).
    2. The number of noise levels follows from the dimensions (:func:`log_ratio_for`).
    3. One network for all noise levels, which does not know them: the score is its output divided by sigma.
    4. The step size of Langevin dynamics minimizes what is left of the level before
       (:func:`lit_gen.families.diffusion.langevin.step_size_for`); a last step denoises.
    5. Averaged weights: the option ``ema``.

    The likelihood is that of :class:`NCSN`.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Network, whose output is divided by sigma; a small MLP if not given.
        ladder: Noise levels; if not given, from half of the largest distance that any two examples could have, in the
            number of levels of technique 2. A ladder for data is :func:`ladder_for`.
        objective: Objective at each noise level; denoising score matching if not given.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options; by default annealed Langevin dynamics at all levels, of 5 steps each.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Song, Ermon: Improved Techniques for Training Score-Based Generative Models, 2020, arXiv:2006.09011.
    """

    denoises_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        nets: DenoisingNets | None = None,
        ladder: Ladder | None = None,
        objective: ScoreMatching | None = None,
        labels: Labels = Labels(),
        sampling: Sampling = Sampling("annealed_langevin", langevin=Langevin(5)),
        ode: OdeSettings = OdeSettings(),
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        num_dims, sigma_min = math.prod(shape), 0.5 * math.exp(-0.5 * finest_log_snr(num_levels))
        ladder = ladder or ladder_for(max(0.5 * math.sqrt(num_dims), 2 * sigma_min), sigma_min, num_dims)
        super().__init__(shape, num_levels, nets, ladder, objective, labels, sampling, ode, optimizer)

    @override
    def noise(self, z: Tensor, log_snr: Tensor, label: Tensor | None) -> Tensor:
        """Minus the output of the network, which is given the same time at all noise levels."""
        alpha, _ = scales(log_snr, z)
        return -self.net(z / alpha, torch.zeros_like(log_snr), label).float()


# ------------------------------------------------------------------ noise levels


def largest_distance(x: Tensor, num_levels: int) -> float:
    """Technique 1: the largest Euclidean distance between two examples ``[N, *shape]``, on the scale from 0 to 1."""
    flat = x.flatten(1).float() / (num_levels - 1)
    return max(float(torch.cdist(rows, flat).max()) for rows in flat.split(1_000))


def log_ratio_for(num_dims: int, overlap: float = 0.5) -> float:
    """Technique 2: logarithm of the ratio of successive deviations, for data of so many dimensions.

    The ratio gamma with ``Phi(sqrt(2 D) (gamma - 1) + 3 gamma) - Phi(sqrt(2 D) (gamma - 1) - 3 gamma)`` equal to the
    overlap: the share of one level's noise whose norm is within three deviations of the norm at the next. At most 2,
    since in up to four dimensions neighbours overlap at any ratio.
    """
    normal = torch.distributions.Normal(0.0, 1.0)

    def shared(gamma: float) -> float:
        shift = math.sqrt(2 * num_dims) * (gamma - 1)
        low, high = normal.cdf(torch.tensor([shift - 3 * gamma, shift + 3 * gamma], dtype=torch.float64)).tolist()
        return high - low

    low, high = 1.0, _LARGEST_RATIO
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if shared(middle) > overlap else (low, middle)
    return math.log(low)


def ladder_for(sigma_max: float, sigma_min: float, num_dims: int) -> Ladder:
    """The ladder between two deviations by technique 2."""
    steps = math.log(sigma_max / sigma_min) / log_ratio_for(num_dims)
    return Ladder(sigma_max, sigma_min, max(2, math.ceil(steps) + 1))
