"""Decoders from the first, least noisy latent to probabilities of integers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lit_gen.quantization import to_symmetric

_LOGITS = 1 << 26  # of the nearest-value decoder at once: 256 MiB


def nearest_level_log_prob(x: Tensor, y: Tensor, deviation: float | Tensor, num_levels: int) -> Tensor:
    """Log P(x | y) with probabilities of values proportional to the Gaussian density of y around them: nats, ``[B]``.

    Args:
        x: Integers ``[B, *shape]``.
        y: Noised data on the scale of :func:`lit_gen.likelihood.to_symmetric`, ``[B, *shape]``.
        deviation: Standard deviation of the noise.
        num_levels: Number of values of the data.

    References:
        Kingma, Salimans, Poole, Ho 2021, arXiv:2107.00630, section 3.3.
    """
    levels = to_symmetric(torch.arange(num_levels, device=y.device), num_levels)
    deviation = torch.as_tensor(deviation, device=y.device).flatten()

    def some(x: Tensor, y: Tensor) -> Tensor:
        logits = -0.5 * ((y[..., None] - levels) / deviation).square()
        return (logits.gather(2, x[..., None].long()).squeeze(2) - logits.logsumexp(2)).sum(1)

    # One logit for each value of each dimension: computed in chunks for large images.
    size = max(1, _LOGITS // (len(x) * num_levels))
    pieces = list(zip(x.flatten(1).split(size, 1), y.flatten(1).split(size, 1), strict=True))
    if len(pieces) == 1 or not torch.is_grad_enabled():
        return torch.stack([some(*piece) for piece in pieces]).sum(0)
    return torch.stack([checkpoint(some, *piece, use_reentrant=False) for piece in pieces]).sum(0)


def discretized_gaussian_log_prob(x: Tensor, mean: Tensor, log_var: Tensor, num_levels: int) -> Tensor:
    """Log P(x) under Gaussians discretized in bins around the values; the outermost bins extend to infinity.

    Args:
        x: Integers ``[B, *shape]``.
        mean: Means ``[B, *shape]``, on the scale of :func:`lit_gen.likelihood.to_symmetric`.
        log_var: Log variances, broadcastable to ``[B, *shape]``.
        num_levels: Number of values of the data.

    Returns:
        Log-probabilities in nats, ``[B]``.

    References:
        Ho, Jain, Abbeel 2020, arXiv:2006.11239, equation 13.
    """
    levels, inverse = x.float(), torch.exp(-0.5 * log_var)
    # Bin edges are computed from half-integers, so that neighbouring bins share them exactly.
    upper = (to_symmetric(levels + 0.5, num_levels) - mean) * inverse
    lower = (to_symmetric(levels - 0.5, num_levels) - mean) * inverse
    upper = torch.where(x == num_levels - 1, torch.inf, upper)
    lower = torch.where(x == 0, -torch.inf, lower)
    # Right of the mean both are near 1: there the bin is computed from the upper tails.
    flip = lower > 0
    a, b = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    log_b = torch.special.log_ndtr(b)
    log_prob = log_b + torch.log1p(-torch.exp(torch.special.log_ndtr(a) - log_b))
    return log_prob.flatten(1).sum(1)
