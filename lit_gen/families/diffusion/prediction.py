"""Converts network outputs into predictions of data and noise, in the variance-preserving scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for z: the data and the noise, with ``z = alpha x_hat + sigma eps_hat``.

    Attributes:
        x_hat: Predicted data, ``[B, *shape]``.
        eps_hat: Predicted noise, ``[B, *shape]``.
        variance_mix: Interpolation of an ancestral step's log variance,
            ``v log(beta) + (1 - v) log(beta_tilde)``, between its upper and lower bound; 0 for the lower.
    """

    x_hat: Tensor
    eps_hat: Tensor
    variance_mix: Tensor | float = 0.0


def scales(log_snr: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Alpha and sigma of log-SNRs ``[B]``, broadcastable to ``[B, *shape]``."""
    shaped = log_snr.view(-1, *[1] * (like.ndim - 1))
    return torch.sigmoid(shaped).sqrt(), torch.sigmoid(-shaped).sqrt()


def diffuse(x: Tensor, eps: Tensor, log_snr: Tensor) -> Tensor:
    """``alpha x + sigma eps`` with ``alpha**2 + sigma**2 = 1``: a sample of q(z | x), ``[B, *shape]``."""
    alpha, sigma = scales(log_snr, x)
    return alpha * x + sigma * eps


def from_eps(z: Tensor, log_snr: Tensor, eps_hat: Tensor, variance_mix: Tensor | float = 0.0) -> Prediction:
    """Prediction from predicted noise; z must contain some signal."""
    alpha, sigma = scales(log_snr, z)
    return Prediction((z - sigma * eps_hat) / alpha, eps_hat, variance_mix)


def from_x(z: Tensor, log_snr: Tensor, x_hat: Tensor, variance_mix: Tensor | float = 0.0) -> Prediction:
    """Prediction from predicted data; z must contain some noise."""
    alpha, sigma = scales(log_snr, z)
    return Prediction(x_hat, (z - alpha * x_hat) / sigma, variance_mix)


def clipped(z: Tensor, log_snr: Tensor, predicted: Prediction) -> Prediction:
    """Clips the predicted data to [-1, 1], and recomputes the noise for z."""
    return from_x(z, log_snr, predicted.x_hat.clamp(-1, 1), predicted.variance_mix)


def guided(with_label: Prediction, without: Prediction, guidance: float) -> Prediction:
    """Classifier-free guidance: extrapolates from the unconditional prediction through the class's.

    Args:
        with_label: The class-conditional prediction.
        without: The unconditional prediction for the same z.
        guidance: Guidance scale, ``1 + w`` in the paper; 1 is the class's own prediction, more exaggerates it.

    References:
        Ho, Salimans: Classifier-Free Diffusion Guidance, 2022, arXiv:2207.12598, equation 6.
    """
    # Both are linear in the network's output, so the same combination applies to data and noise, also at pure noise.
    return Prediction(
        torch.lerp(without.x_hat, with_label.x_hat, guidance),
        torch.lerp(without.eps_hat, with_label.eps_hat, guidance),
        with_label.variance_mix,
    )


def halves(both: Prediction) -> tuple[Prediction, Prediction]:
    """Splits a batch of predictions into its first and second half."""
    mixes = both.variance_mix.chunk(2) if isinstance(both.variance_mix, Tensor) else [both.variance_mix] * 2
    (x1, x2), (eps1, eps2) = both.x_hat.chunk(2), both.eps_hat.chunk(2)
    return Prediction(x1, eps1, mixes[0]), Prediction(x2, eps2, mixes[1])
