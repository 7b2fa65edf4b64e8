"""Interpolation between real images through the latents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.noise import Noise


@runtime_checkable
class Latents(Protocol):
    """A model with an encoder, which maps examples to latents and back.

    Not part of the common interface: a family has these two methods if they are meaningful.
    """

    def to_latent(self, x: Tensor, noise: Noise) -> Tensor:
        """Latents ``[B, Z]`` of integers ``[B, *shape]``; all randomness comes from the rows of noise."""

    def from_latent(self, z: Tensor) -> Tensor:
        """Decodes latents ``[B, Z]`` to integers uint8 ``[B, *shape]``; deterministic."""


Way = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Function of two latents ``[Z]`` and times ``[T]`` in [0, 1]: latents ``[T, Z]``, exact at the ends."""


def straight(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Linear interpolation; see :data:`Way`."""
    t = t[:, None]
    return (1 - t) * start + t * end


def great_circle(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation, at constant angular speed; see :data:`Way`.

    The default, because latents are Gaussian: nearly all samples in D dimensions have a norm near sqrt(D), while the
    middle of a straight line between two has a norm near sqrt(D/2), where the density of samples is negligible and a
    decoder was not trained. Great circles keep norms close to those of the ends.

    If the ends have the same or opposite directions, which determine no great circle, the path is straight.

    References:
        White: Sampling Generative Networks, 2016, arXiv:1609.04468, section 2.1.
    """
    a, b = F.normalize(start, dim=0), F.normalize(end, dim=0)
    # The arc cosine of a dot product would lose half of the digits at small angles.
    angle = 2 * torch.atan2((a - b).norm(), (a + b).norm())
    if angle.sin() < 1e-4:
        return straight(start, end, t)
    t = t[:, None]
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / angle.sin()


@torch.no_grad()
def interpolate(model: Latents, x: Tensor, noise: Noise, steps: int, way: Way = great_circle) -> Tensor:
    """Integers ``[steps, *shape]`` interpolated between two examples; the first and the last are their reconstructions.

    Args:
        model: The model, in eval mode.
        x: Two examples, integers ``[2, *shape]``, on the model's device.
        noise: Two rows, one for each example.
        steps: Number of images, at least 2.
        way: Path through the latents.
    """
    start, end = model.to_latent(x, noise)
    # Computed on the CPU, so that all machines use the same times; the last one is exactly 1.
    t = torch.linspace(0, 1, steps).to(start.device, start.dtype)
    return model.from_latent(way(start, end, t))
