"""Latents whose sample is near a given image, by gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lit_gen.noise import Noise

_STARTS = 4
_STEPS = 300
_RATE = 0.05
_PRIOR = 1e-3  # weight of a latent's squared norm beside the mean squared error of the image's values


def inverted(decode: Callable[[Tensor], Tensor], x: Tensor, noise: Noise, num_latents: int) -> Tensor:
    """Latents ``[B, num_latents]`` of examples, each the best of several starts.

    Minimizes the mean squared error of the example's values, plus 0.001 times the mean square of the latents, which
    keeps them where the generator was trained. No example's result depends on the others.

    Args:
        decode: The generator, in eval mode: from latents to ``[B, *shape]`` in [-1, 1].
        x: Examples ``[B, *shape]`` in [-1, 1].
        noise: Source of the starts, with B rows.
        num_latents: Dimensions of the latents.

    References:
        Zhu et al.: Generative Visual Manipulation on the Natural Image Manifold, 2016, arXiv:1609.03552, section 3.1.
        Creswell, Bharath: Inverting the Generator of a Generative Adversarial Network, 2016, arXiv:1611.05644.
    """
    z = noise.normal(_STARTS, num_latents).flatten(0, 1)  # the starts of an example lie side by side
    target = x.flatten(1).repeat_interleave(_STARTS, 0)
    optimizer = torch.optim.Adam([z.requires_grad_()], lr=_RATE, foreach=False)
    best, best_loss = z.detach().clone(), torch.full((len(z),), torch.inf, device=z.device)
    for _ in range(_STEPS):
        with torch.enable_grad():
            loss = (decode(z).float().flatten(1) - target).square().mean(1) + _PRIOR * z.square().mean(1)
            (z.grad,) = torch.autograd.grad(loss.sum(), z)
        better = loss.detach() < best_loss
        best = torch.where(better[:, None], z.detach(), best)
        best_loss = torch.where(better, loss.detach(), best_loss)
        optimizer.step()
    losses = best_loss.view(len(x), _STARTS)
    return best.view(len(x), _STARTS, num_latents)[torch.arange(len(x), device=z.device), losses.argmin(1)]
