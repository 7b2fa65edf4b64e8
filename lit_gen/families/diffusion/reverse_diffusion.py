"""Reverse diffusion samplers: the reverse-time SDE, discretized as its forward SDE was."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from lit_gen.families.diffusion.prediction import Prediction
from lit_gen.families.diffusion.samplers import Denoise, alpha_sigma, ancestral_step, posterior
from lit_gen.noise import Noise

Step = Callable[[Prediction, Tensor, float, float, Noise], Tensor]
"""One step of a sampler, given the prediction for z at log-SNR t: ``step(predicted, z, t, s, noise)`` is z at s."""


def reverse_diffusion_ve(denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise) -> Tensor:
    """Reverse diffusion of the variance-exploding SDE.

    References:
        Song et al. 2021, arXiv:2011.13456, algorithm 2 without the corrector.
    """
    for t, s in pairwise(log_snrs):
        z = ve_step(denoise(z, t), z, t, s, noise)
    return z


def reverse_diffusion_vp(denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise) -> Tensor:
    """Reverse diffusion of the variance-preserving SDE.

    References:
        Song et al. 2021, arXiv:2011.13456, algorithm 3 without the corrector.
    """
    for t, s in pairwise(log_snrs):
        z = vp_step(denoise(z, t), z, t, s, noise)
    return z


def ve_step(predicted: Prediction, z: Tensor, t: float, s: float, noise: Noise) -> Tensor:
    """``y + change score``, plus noise of variance ``change = sigma_t**2 - sigma_s**2``, for ``y = x + sigma n``.

    The mean is that of an ancestral step, the variance larger. A step from pure noise, where sigma is infinite, is an
    ancestral one.
    """
    if t == -math.inf:
        return ancestral_step(predicted, z, t, s, noise)
    mean, _, _ = posterior(z, predicted.x_hat, t, s)
    if s == math.inf:
        return mean
    deviation = alpha_sigma(s)[0] * math.sqrt(math.exp(-t) - math.exp(-s))
    return mean + deviation * noise.normal(*z.shape[1:])


def vp_step(predicted: Prediction, z: Tensor, t: float, s: float, noise: Noise) -> Tensor:
    """``(2 - sqrt(1 - beta)) z + beta score``, plus noise of variance beta, the forward step's.

    A step from pure noise, where beta is 1, is an ancestral one.
    """
    if t == -math.inf:
        return ancestral_step(predicted, z, t, s, noise)
    (alpha_t, sigma_t), (alpha_s, _) = alpha_sigma(t), alpha_sigma(s)
    ratio = alpha_t / alpha_s
    beta = 1 - ratio**2
    mean = (2 - ratio) * z - (beta / sigma_t) * predicted.eps_hat
    return mean if s == math.inf else mean + math.sqrt(beta) * noise.normal(*z.shape[1:])
