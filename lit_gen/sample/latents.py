"""From one real image to another, through the latents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.noise import Noise


@runtime_checkable
class Latents(Protocol):
    """A model with an encoder: every example has a latent, and every latent stands for an example.

    No part of the contract: a family has these two methods where they mean something.
    """

    def to_latent(self, x: Tensor, noise: Noise) -> Tensor:
        """Latents ``[B, Z]`` of levels ``[B, *shape]``; what is random about them comes from the noise's rows."""

    def from_latent(self, z: Tensor) -> Tensor:
        """Levels uint8 ``[B, *shape]`` that latents ``[B, Z]`` stand for; nothing is random."""


Way = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From a latent ``[Z]`` to another at times ``[T]`` in [0, 1]: latents ``[T, Z]``, the ends exact."""


def straight(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """The straight line; see :data:`Way`."""
    t = t[:, None]
    return (1 - t) * start + t * end


def great_circle(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation, at constant angular speed; see :data:`Way`.

    The default, because our latents are Gaussian: nearly all draws of D dimensions have a norm near sqrt(D), and
    the middle of a straight line between two has one near sqrt(D/2), where next to no draw ever lies and a decoder
    has learnt nothing. Here norms stay near those of the ends.

    Where the ends point in one direction, or in opposite ones, which no circle tells apart, the line is straight.

    References:
        White: Sampling Generative Networks, 2016, arXiv:1609.04468, section 2.1.
    """
    a, b = F.normalize(start, dim=0), F.normalize(end, dim=0)
    # The arc cosine of a product would lose half of the digits where the angle is small.
    angle = 2 * torch.atan2((a - b).norm(), (a + b).norm())
    if angle.sin() < 1e-4:
        return straight(start, end, t)
    t = t[:, None]
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / angle.sin()


@torch.no_grad()
def interpolate(model: Latents, x: Tensor, noise: Noise, steps: int, way: Way = great_circle) -> Tensor:
    """Levels ``[steps, *shape]`` on the way from one example to another; the first and the last reconstruct them.

    Args:
        model: In eval mode.
        x: The two, levels ``[2, *shape]``, on the model's device.
        noise: Their own two rows.
        steps: At least 2.
        way: Through the latents.
    """
    start, end = model.to_latent(x, noise)
    # Made on the CPU, where they are the same for every machine; the last one is 1 to the bit.
    t = torch.linspace(0, 1, steps).to(start.device, start.dtype)
    return model.from_latent(way(start, end, t))
