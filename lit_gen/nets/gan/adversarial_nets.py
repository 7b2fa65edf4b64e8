"""The interface of generator and discriminator pairs, and what sizes of images they can make."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from torch import nn

from lit_gen.errors import UserError


class AdversarialNets(abc.ABC):
    """Builds a generator and a discriminator, given the shape of the data."""

    @abc.abstractmethod
    def generator(self, num_latents: int, shape: Sequence[int], num_classes: int = 0) -> nn.Module:
        """Builds a network from ``[B, num_latents]`` to ``[B, *shape]`` in [-1, 1].

        Args:
            num_latents: Dimensions of the latents.
            shape: Shape of one example.
            num_classes: Number of classes, int64 ``[B]``, which the network takes as a second input; 0 for none.

        Raises:
            UserError: If it cannot make such examples, or takes no classes.
        """

    @abc.abstractmethod
    def discriminator(self, shape: Sequence[int], last_bias: bool = True, num_classes: int = 0) -> nn.Module:
        """Builds a network from ``[B, *shape]`` in [-1, 1] to outputs ``[B]``, larger for real examples.

        Args:
            shape: Shape of one example.
            last_bias: Whether the last layer has a bias; objectives of differences of outputs give it no gradient.
            num_classes: Number of classes, int64 ``[B]``, which the network takes as a second input; 0 for none.

        Raises:
            UserError: If it cannot take such examples, or takes no classes.
        """


def check_no_classes(nets: AdversarialNets, num_classes: int) -> None:
    """Validates that networks which take no classes are not asked to.

    Raises:
        UserError: If they are.
    """
    if num_classes:
        raise UserError(
            f"{type(nets).__name__} takes no classes, but num_classes is {num_classes}; use SNGANNets or R3GANNets, or"
            " set num_classes to 0"
        )


def smallest_map(name: str, shape: Sequence[int], doublings: int, option: str, exact: bool = True) -> tuple[int, int]:
    """Height and width of the smallest feature map of nets that halve an image several times.

    Args:
        name: Name of the nets, for errors.
        shape: Shape of one example.
        doublings: Number of times.
        option: The option that determines the number, for errors.
        exact: Whether each size must be even, as for a generator, which doubles it.

    Raises:
        UserError: If the examples are no images, or their size cannot be halved so often.
    """
    if len(shape) != 3:
        raise UserError(f"{name} needs images [C, H, W], the data have shape {tuple(shape)}; use MLPAdversarialNets")
    height, width = shape[1:]
    found = height >> doublings, width >> doublings
    if min(found) < 1 or (exact and (height, width) != (found[0] << doublings, found[1] << doublings)):
        can = max(k for k in range(20) if (min(height, width) >> k and not (exact and (height | width) % (1 << k))))
        raise UserError(
            f"{name}: {option} halves {height}x{width} images {doublings} times, which is not possible; at most {can}"
            f" time{'s' * (can != 1)} for this size"
        )
    return found
