"""Augmentations of what the discriminator sees, through which the generator is trained."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError


class Augmentation(abc.ABC):
    """A random differentiable map of images, applied to real examples and samples alike in every pass.

    As the same map is applied to both, the generator learns the distribution of images that are not augmented.
    """

    @abc.abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Augmented images ``[B, C, H, W]``, each by draws of its own from torch's generator."""

    def check_shape(self, shape: Sequence[int]) -> None:
        """Validates the shape of an example.

        Raises:
            UserError: If it is not that of an image.
        """
        if len(shape) != 3:
            raise UserError(
                f"augmentation: {type(self).__name__} is for images [C, H, W], the data have shape {tuple(shape)};"
                " leave it out"
            )


class DiffAugment(Augmentation):
    """Colour, translation and cutout.

    Colour: brightness is shifted by up to ``color / 2`` (images are in [-1, 1]), saturation is scaled by up to
    ``1 +- color`` and contrast by up to ``1 +- color / 2``. Translation fills with zeros, the middle grey, and cutout
    sets a rectangle to it.

    Args:
        color: Strength of the changes of colour; 1 as in the paper, 0 for none.
        translation: Largest shift, as a share of height and width; 0 for none.
        cutout: Height and width of the rectangle, as shares; 0 for none.

    Raises:
        UserError: If an argument is not in [0, 1], or all are 0.

    References:
        Zhao et al.: Differentiable Augmentation for Data-Efficient GAN Training, 2020, arXiv:2006.10738, section 3.3.
    """

    def __init__(self, color: float = 1.0, translation: float = 0.125, cutout: float = 0.5) -> None:
        parts = (color, translation, cutout)
        if not all(0 <= part <= 1 for part in parts) or not any(parts):
            raise UserError(
                f"augmentation: color={color}, translation={translation} and cutout={cutout} must be in 0..1, and not"
                " all 0"
            )
        self.color, self.translation, self.cutout = parts

    @override
    def __call__(self, x: Tensor) -> Tensor:
        if self.color:
            x = _recolored(x, self.color)
        if self.translation:
            x = _translated(x, self.translation)
        return _cut(x, self.cutout) if self.cutout else x


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    """A number for each image, ``[B, 1, 1, 1]``."""
    return low + (high - low) * torch.rand(len(x), 1, 1, 1, device=x.device)


def _recolored(x: Tensor, strength: float) -> Tensor:
    x = x + _uniform(x, -0.5 * strength, 0.5 * strength)
    if x.shape[1] > 1:  # grey images have no saturation
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * _uniform(x, 1 - strength, 1 + strength)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * _uniform(x, 1 - 0.5 * strength, 1 + 0.5 * strength)


def _translated(x: Tensor, share: float) -> Tensor:
    """Each image shifted by whole pixels in both directions, which are gathered from the padded image."""
    shifted = x
    for dim in (2, 3):
        size = x.shape[dim]
        most = math.floor(share * size + 0.5)
        shift = torch.randint(-most, most + 1, (len(x), 1), device=x.device)
        source = torch.arange(size, device=x.device) - shift  # [B, size]
        view = (len(x), 1, size, 1) if dim == 2 else (len(x), 1, 1, size)
        inside = ((source >= 0) & (source < size)).view(view)
        index = source.clamp(0, size - 1).view(view).expand(shifted.shape)
        shifted = shifted.gather(dim, index) * inside
    return shifted


def _cut(x: Tensor, share: float) -> Tensor:
    """A rectangle around a uniform centre, of which a part may lie outside, is set to zero."""
    inside = torch.ones(1, device=x.device, dtype=torch.bool)
    for dim in (2, 3):
        size = x.shape[dim]
        length = math.floor(share * size + 0.5)
        centre = torch.randint(0, size + (1 - length % 2), (len(x), 1), device=x.device)
        first = centre - length // 2
        position = torch.arange(size, device=x.device)
        view = (len(x), 1, size, 1) if dim == 2 else (len(x), 1, 1, size)
        inside = inside & ((position >= first) & (position < first + length)).view(view)
    return x * ~inside
