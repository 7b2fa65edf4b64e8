"""From what a network says to the data and the noise it stands for, in the variance-preserving scale."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_gen.families.diffusion.samplers import Prediction


def scales(log_snr: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Alpha and sigma of log signal-to-noise ratios ``[B]``, shaped to stand beside ``[B, *shape]``."""
    shaped = log_snr.view(-1, *[1] * (like.ndim - 1))
    return torch.sigmoid(shaped).sqrt(), torch.sigmoid(-shaped).sqrt()


def diffuse(x: Tensor, eps: Tensor, log_snr: Tensor) -> Tensor:
    """``alpha x + sigma eps`` with ``alpha**2 + sigma**2 = 1``: a draw of q(z | x), ``[B, *shape]``."""
    alpha, sigma = scales(log_snr, x)
    return alpha * x + sigma * eps


def from_eps(z: Tensor, log_snr: Tensor, eps_hat: Tensor, variance_mix: Tensor | float = 0.0) -> Prediction:
    """Of a predicted noise; there must be some signal in z."""
    alpha, sigma = scales(log_snr, z)
    return Prediction((z - sigma * eps_hat) / alpha, eps_hat, variance_mix)


def from_x(z: Tensor, log_snr: Tensor, x_hat: Tensor, variance_mix: Tensor | float = 0.0) -> Prediction:
    """Of predicted data; there must be some noise in z."""
    alpha, sigma = scales(log_snr, z)
    return Prediction(x_hat, (z - alpha * x_hat) / sigma, variance_mix)


def clipped(z: Tensor, log_snr: Tensor, predicted: Prediction) -> Prediction:
    """The prediction with its data within [-1, 1], and the noise that then belongs to z."""
    return from_x(z, log_snr, predicted.x_hat.clamp(-1, 1), predicted.variance_mix)


def guided(with_label: Prediction, without: Prediction, guidance: float) -> Prediction:
    """Classifier-free guidance: the noise is moved on from "no class" through the class's own.

    Args:
        with_label: The class's prediction.
        without: That of no class, of the same z.
        guidance: 1 is the class's own, more exaggerates; ``1 + w`` of the paper.

    References:
        Ho, Salimans: Classifier-Free Diffusion Guidance, 2022, arXiv:2207.12598, equation 6.
    """
    # Both are linear in what the network says, so the same combination serves data and noise, at pure noise too.
    return Prediction(
        torch.lerp(without.x_hat, with_label.x_hat, guidance),
        torch.lerp(without.eps_hat, with_label.eps_hat, guidance),
        with_label.variance_mix,
    )


def halves(both: Prediction) -> tuple[Prediction, Prediction]:
    """The predictions of the first half of a batch, and of the second."""
    mixes = both.variance_mix.chunk(2) if isinstance(both.variance_mix, Tensor) else [both.variance_mix] * 2
    (x1, x2), (eps1, eps2) = both.x_hat.chunk(2), both.eps_hat.chunk(2)
    return Prediction(x1, eps1, mixes[0]), Prediction(x2, eps2, mixes[1])
