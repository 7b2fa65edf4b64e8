"""Samplers with Langevin dynamics: predictor-corrector, and annealed Langevin.

Langevin dynamics moves z at one noise level by the score and by noise, so that z's distribution approaches the one
whose score it is. In units of the level's noise, a step of size h is ``z - h sigma eps_hat + sqrt(2 h) sigma n``, the
same in every scale of the data: ``-eps_hat / sigma`` is the score.

Such a sampler is called with one argument more than those of :mod:`lit_gen.families.diffusion.samplers`, the
:class:`Langevin` settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.families.diffusion.prediction import Prediction
from lit_gen.families.diffusion.reverse_diffusion import Step, ve_step, vp_step
from lit_gen.families.diffusion.samplers import Denoise, alpha_sigma, ancestral_step
from lit_gen.noise import Noise


@dataclass(frozen=True)
class Langevin:
    """Settings of Langevin dynamics within a sampler.

    Attributes:
        steps: Number of Langevin steps at each noise level, each of which is one function evaluation.
        snr: Signal-to-noise ratio r of a corrector's step: the score's part of a step is r times the noise's.
        own_norm: Whether a corrector divides by the norm of the example's own score, as in the papers' algorithms;
            otherwise by its expected norm at that level, ``sqrt(D) / sigma``. The two differ in few dimensions D, where
            an own step size leads to samples with too large scores: their variance is (D + 2) / D times a Gaussian's.
        step_size: Step size h of annealed Langevin, in units of the noise level's variance; null for that of
            :func:`step_size_for`. In the papers' terms, ``h = epsilon / sigma_L**2``, half of this in the first.

    Raises:
        UserError: If a field is out of range.
    """

    steps: int = 1
    snr: float = 0.16
    own_norm: bool = True
    step_size: float | None = None

    def __post_init__(self) -> None:
        """Validates the fields."""
        if self.steps < 1:
            raise UserError(f"sampling: langevin.steps={self.steps} must be at least 1")
        if not 0 < self.snr < math.inf:
            raise UserError(f"sampling: langevin.snr={self.snr} must be positive")
        if self.step_size is not None and not 0 < self.step_size < 2:
            raise UserError(f"sampling: langevin.step_size={self.step_size} must be between 0 and 2: no step converges")

    def size(self, log_snrs: Sequence[float]) -> float:
        """Step size h of annealed Langevin at these noise levels."""
        finite = [level for level in log_snrs if math.isfinite(level)]
        if self.step_size is not None or len(finite) < 2:
            return self.step_size or 0.1
        return step_size_for((finite[-1] - finite[0]) / (2 * (len(finite) - 1)), self.steps)


def step_size_for(log_ratio: float, steps: int) -> float:
    """The step size with which noise of one level comes closest to the next level's variance in so many steps.

    Args:
        log_ratio: Logarithm of the ratio gamma of one level's standard deviation to the next.
        steps: Number of steps T at each level.

    Returns:
        Step size h in units of the level's variance, which minimizes the distance from one of
        ``(1 - h)**(2 T) (gamma**2 - 1 / (1 - h/2)) + 1 / (1 - h/2)``.

    References:
        Song, Ermon: Improved Techniques for Training Score-Based Generative Models, 2020, arXiv:2006.09011, technique 4
        and proposition 4, with ``h = epsilon / sigma_L**2``.
    """
    # Logarithms, since in few dimensions levels are so far apart that the ratio's square is a large number.
    h = torch.logspace(-6, 0, 6001, dtype=torch.float64)[:-1]
    stationary = 1 / (1 - h / 2)
    left = torch.log1p(-h) * (2 * steps)
    ratio = (left + 2 * log_ratio).exp() - left.exp() * stationary + stationary
    return float(h[(ratio - 1).abs().argmin()])


# ------------------------------------------------------------------ predictor-corrector


def pc_ancestral(
    denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise, langevin: Langevin
) -> Tensor:
    """Ancestral steps, each after ``langevin.steps`` steps of the corrector at its noise level.

    References:
        Song et al.: Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        arXiv:2011.13456, appendix G; correctors come first, as in the authors' code.
    """
    return _predicted_and_corrected(ancestral_step, denoise, z, log_snrs, noise, langevin)


def pc_reverse_ve(
    denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise, langevin: Langevin
) -> Tensor:
    """The same with reverse diffusion steps of the variance-exploding SDE.

    References:
        Song et al. 2021, arXiv:2011.13456, algorithms 2 and 4.
    """
    return _predicted_and_corrected(ve_step, denoise, z, log_snrs, noise, langevin)


def pc_reverse_vp(
    denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise, langevin: Langevin
) -> Tensor:
    """The same with reverse diffusion steps of the variance-preserving SDE.

    References:
        Song et al. 2021, arXiv:2011.13456, algorithms 3 and 5.
    """
    return _predicted_and_corrected(vp_step, denoise, z, log_snrs, noise, langevin)


def _predicted_and_corrected(
    step: Step, denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise, langevin: Langevin
) -> Tensor:
    for t, s in pairwise(log_snrs):
        for _ in range(langevin.steps):
            z = corrected(denoise(z, t), z, t, noise, langevin)
        z = step(denoise(z, t), z, t, s, noise)
    return z


def corrected(predicted: Prediction, z: Tensor, t: float, noise: Noise, langevin: Langevin) -> Tensor:
    """One step of the corrector at log-SNR t: of size ``h = 2 r**2``, with r the signal-to-noise ratio.

    Algorithms 4 and 5 differ in the scale of the data, which does not matter here, and in a factor ``1 - beta`` of the
    step size, which is near 1 and left out. In place of the norm of the drawn noise stands its expected norm
    ``sqrt(D)``, as the paper proposes for few examples: its own mean over a batch would make samples depend on each
    other.

    References:
        Song et al. 2021, arXiv:2011.13456, algorithms 4 and 5, and appendix G.
    """
    _, sigma = alpha_sigma(t)
    eps_hat = predicted.eps_hat
    ratio: Tensor | float = 1.0
    if langevin.own_norm:
        norm = eps_hat.flatten(1).norm(dim=1).clamp_min(1e-12)
        ratio = (math.sqrt(z[0].numel()) / norm).view(-1, *[1] * (z.ndim - 1))
    step = langevin.snr * ratio
    return z + 2 * sigma * step * (noise.normal(*z.shape[1:]) - step * eps_hat)


# ------------------------------------------------------------------ annealed Langevin


def annealed_langevin(
    denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise, langevin: Langevin
) -> Tensor:
    """Langevin dynamics at one noise level after the other; a last level of clean data is one denoising step.

    It moves unscaled data, ``y = z / alpha``, which stay where they are between two levels. At pure noise, which z
    already is, there are no steps. Evaluations: ``langevin.steps`` at each level, and one for clean data.

    References:
        Song, Ermon: Generative Modeling by Estimating Gradients of the Data Distribution, 2019, arXiv:1907.05600,
        algorithm 1. Song, Ermon 2020, arXiv:2006.09011, algorithm 1, with the last denoising step.
    """
    h = langevin.size(log_snrs)
    alpha = 0.0
    for t in log_snrs:
        if not math.isfinite(t):
            continue
        before, (alpha, sigma) = alpha, alpha_sigma(t)
        z = z * (alpha / before) if before else z
        for _ in range(langevin.steps):
            z = z - h * sigma * denoise(z, t).eps_hat + math.sqrt(2 * h) * sigma * noise.normal(*z.shape[1:])
    return denoise(z, log_snrs[-2]).x_hat if log_snrs[-1] == math.inf else z


LangevinSampler = Callable[[Denoise, Tensor, Sequence[float], Noise, Langevin], Tensor]

CORRECTORS: Mapping[str, LangevinSampler] = {f.__name__: f for f in (pc_ancestral, pc_reverse_ve, pc_reverse_vp)}
"""Samplers that correct by :attr:`Langevin.snr`, by their names."""

LANGEVIN_SAMPLERS: Mapping[str, LangevinSampler] = {**CORRECTORS, annealed_langevin.__name__: annealed_langevin}
"""All samplers with Langevin dynamics, by their names in options and records."""
