"""Samplers of diffusion models: plain functions with one signature, each one paper's algorithm.

All use the variance-preserving scale, whatever the scale in which a model was trained:
``z = alpha x + sigma eps`` with ``alpha**2 + sigma**2 = 1``, at the noise level given by the log-SNR
``log_snr = log(alpha**2 / sigma**2)``. The probability-flow ODE is the same in any scale:
``d(z/alpha) = eps_hat d(sigma/alpha)``.

A sampler is called as ``sampler(denoise, z, log_snrs, noise)``:

- ``denoise(z, log_snr)`` returns a :class:`Prediction`; each call is one function evaluation of an unguided model;
- ``z`` is ``[B, *shape]``, at the first of ``log_snrs``;
- ``log_snrs`` are N+1 values from the noisiest to the cleanest; the last is infinity, clean data, for samples,
  and the first may be minus infinity, pure noise;
- ``noise`` has B rows.

It returns z at the last of ``log_snrs``: the sample, real, ``[B, *shape]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from lit_gen.families.diffusion.prediction import Prediction
from lit_gen.noise import Noise

Denoise = Callable[[Tensor, float], Prediction]
Sampler = Callable[[Denoise, Tensor, Sequence[float], Noise], Tensor]


def alpha_sigma(log_snr: float) -> tuple[float, float]:
    """Alpha and sigma at a log-SNR, which may be infinite.

    >>> alpha_sigma(math.inf), alpha_sigma(-math.inf)
    ((1.0, 0.0), (0.0, 1.0))
    """
    ratio = math.exp(-abs(log_snr))  # ratio of the smaller to the larger square
    larger, smaller = math.sqrt(1 / (1 + ratio)), math.sqrt(ratio / (1 + ratio))
    return (larger, smaller) if log_snr >= 0 else (smaller, larger)


def ancestral(denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise) -> Tensor:
    """The reverse process: each step samples a Gaussian around the posterior's mean given x_hat.

    References:
        Ho, Jain, Abbeel 2020, arXiv:2006.11239, algorithm 2 and equation 7, for any two noise levels.
        Song et al. 2021, arXiv:2011.13456, appendix F (the same for unscaled data).
    """
    for t, s in pairwise(log_snrs):
        z = ancestral_step(denoise(z, t), z, t, s, noise)
    return z


def ancestral_step(predicted: Prediction, z: Tensor, t: float, s: float, noise: Noise) -> Tensor:
    """One step of the reverse process, from log-SNR t to s, given the prediction for z at t."""
    mean, log_small, log_large = posterior(z, predicted.x_hat, t, s)
    if s == math.inf:
        return mean
    log_var = log_small + predicted.variance_mix * (log_large - log_small)
    return mean + torch.as_tensor(0.5 * log_var).exp() * noise.normal(*z.shape[1:])


def posterior(z: Tensor, x: Tensor, t: float, s: float) -> tuple[Tensor, float, float]:
    """Posterior of z at the cleaner log-SNR s, given z at t and x: the mean and two log variances of a reverse step.

    Returns:
        The mean ``[B, *shape]``; the log of the posterior's variance, ``beta_tilde`` in DDPM; and that of the forward
        step, ``beta``. If s is clean, the mean is x, and the first log variance is minus infinity.
    """
    (alpha_t, sigma_t), (alpha_s, sigma_s) = alpha_sigma(t), alpha_sigma(s)
    share = -math.expm1(t - s)  # fraction of sigma_t**2 that the step from s to t added
    mean = (sigma_s / sigma_t) ** 2 * (alpha_t / alpha_s) * z + alpha_s * share * x
    return mean, _log(sigma_s**2 * share), _log(sigma_t**2 * share)


def ddim(denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise) -> Tensor:
    """Denoising diffusion implicit models with eta = 0, which is deterministic.

    Equal to Euler's method on the probability-flow ODE, both in ``sigma/alpha`` and in flow matching's time.

    References:
        Song, Meng, Ermon: Denoising Diffusion Implicit Models, 2021, arXiv:2010.02502, equation 12.
    """
    for t, s in pairwise(log_snrs):
        z = _towards(denoise(z, t), s)
    return z


def euler(denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise) -> Tensor:
    """Euler's method on flow matching's straight paths: ``dy/dt = v`` with ``y = (1 - t) x + t eps``.

    A step ``y + (s - t)(eps_hat - x_hat)`` ends in ``(1 - s) x_hat + s eps_hat``, so it equals :func:`ddim`.

    References:
        Lipman et al.: Flow Matching for Generative Modeling, 2023, arXiv:2210.02747, section 6.
    """
    return ddim(denoise, z, log_snrs, noise)


def heun(denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise) -> Tensor:
    """Heun's method on flow matching's straight paths; the last step, to clean data, is Euler's.

    Two evaluations per step except the last: 2 N - 1.
    """
    for t, s in pairwise(log_snrs):
        first = denoise(z, t)
        z = _towards(first, s)
        if s < math.inf:
            second = denoise(z, s)
            change = (second.eps_hat - second.x_hat) - (first.eps_hat - first.x_hat)
            alpha, sigma = alpha_sigma(s)
            # In y, half the step times the change of slope; z is (alpha + sigma) y.
            z = z + (alpha + sigma) * 0.5 * (_straight_time(s) - _straight_time(t)) * change
    return z


def edm_heun(denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise) -> Tensor:
    """Heun's method in ``sigma/alpha``, where eps_hat is the slope; the last step is Euler's.

    Two evaluations per step except the last: 2 N - 1. A first step from pure noise, where ``sigma/alpha`` is
    infinite, is also Euler's.

    References:
        Karras et al.: Elucidating the Design Space of Diffusion-Based Generative Models, 2022, arXiv:2206.00364,
        algorithm 2 with S_churn = 0: deterministic.
    """
    for t, s in pairwise(log_snrs):
        first = denoise(z, t)
        z = _towards(first, s)
        if -math.inf < t and s < math.inf:
            second = denoise(z, s)
            alpha, _ = alpha_sigma(s)
            step = math.exp(-s / 2) - math.exp(-t / 2)
            z = z + alpha * 0.5 * step * (second.eps_hat - first.eps_hat)
    return z


def dpmpp_2m(denoise: Denoise, z: Tensor, log_snrs: Sequence[float], noise: Noise) -> Tensor:
    """Second-order multistep DPM-Solver++; the first step, and a step to clean data, are of first order.

    References:
        Lu et al.: DPM-Solver++, 2022, arXiv:2211.01095, algorithm 2.
    """
    before: tuple[Tensor, float] | None = None
    for t, s in pairwise(log_snrs):
        x_hat = denoise(z, t).x_hat
        length = (s - t) / 2
        mean = x_hat
        if before is not None and s < math.inf and before[1] < math.inf:
            mean = x_hat + length / (2 * before[1]) * (x_hat - before[0])
        (_, sigma_t), (alpha_s, sigma_s) = alpha_sigma(t), alpha_sigma(s)
        z = (sigma_s / sigma_t) * z - alpha_s * math.expm1(-length) * mean
        before = (x_hat, length)
    return z


SAMPLERS: Mapping[str, Sampler] = {
    f.__name__: f for f in (ancestral, ddim, edm_heun, dpmpp_2m, euler, heun)
}
"""All samplers by their names in options and records."""


def _towards(predicted: Prediction, s: float) -> Tensor:
    """The point at another noise level on the straight path of a prediction."""
    alpha, sigma = alpha_sigma(s)
    return alpha * predicted.x_hat + sigma * predicted.eps_hat


def _straight_time(log_snr: float) -> float:
    """``sigma / (alpha + sigma)``: flow matching's time, 0 at the data and 1 at the noise."""
    alpha, sigma = alpha_sigma(log_snr)
    return sigma / (alpha + sigma)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
