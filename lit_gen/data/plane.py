"""Densities in the plane: mixtures of equal isotropic Gaussians, of which everything is known."""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError


class PlaneDensity(abc.ABC):
    """A mixture of isotropic Gaussians of one deviation and equal weights, on the scale of data from -1 to 1.

    Curves are mixtures of many centres along them: the density is that of the mixture, exactly.

    Args:
        deviation: Standard deviation of each Gaussian.

    Raises:
        UserError: If it is not positive.
    """

    def __init__(self, deviation: float) -> None:
        if not 0 < deviation < math.inf:
            raise UserError(f"density: deviation={deviation} must be positive")
        self.deviation = deviation

    @abc.abstractmethod
    def centres(self) -> Tensor:
        """Centres of the Gaussians, float64 ``[K, 2]``."""

    def log_density(self, y: Tensor, variance: float = 0.0) -> Tensor:
        """Log-density at y ``[B, 2]`` of the mixture with noise of a variance added: nats, ``[B]``."""
        total = self.deviation**2 + variance
        centres = self.centres().to(y.dtype)
        exponents = -0.5 * (y[:, None] - centres).square().sum(2) / total
        return exponents.logsumexp(1) - math.log(len(centres)) - math.log(2 * math.pi * total)

    def bin_probabilities(self, num_levels: int) -> Tensor:
        """Probabilities of pairs of integers, float64 ``[num_levels, num_levels]``; outer bins extend to infinity."""
        edges = (2 * torch.arange(1, num_levels, dtype=torch.float64) - num_levels) / (num_levels - 1)
        below = torch.special.ndtr((edges - self.centres()[:, :, None]) / self.deviation)  # [K, 2, num_levels - 1]
        ends = torch.zeros_like(below[..., :1])
        shares = torch.cat([ends, below, ends + 1], 2).diff(dim=2)
        return torch.einsum("ki,kj->ij", shares[:, 0], shares[:, 1]) / len(shares)


class Mixture(PlaneDensity):
    """Gaussians evenly around a circle.

    Args:
        num_components: Number of Gaussians.
        radius: Radius of the circle.
        deviation: Standard deviation of each Gaussian.
    """

    def __init__(self, num_components: int = 8, radius: float = 0.7, deviation: float = 0.05) -> None:
        super().__init__(deviation)
        if num_components < 1:
            raise UserError(f"density: num_components={num_components} must be at least 1")
        self.num_components, self.radius = num_components, radius

    @override
    def centres(self) -> Tensor:
        return _circle(self.num_components, self.radius)


class Rings(PlaneDensity):
    """Concentric circles, each equally likely.

    Args:
        num_rings: Number of circles; the outermost has radius 0.8.
        deviation: Standard deviation from the circles.
    """

    def __init__(self, num_rings: int = 2, deviation: float = 0.04) -> None:
        super().__init__(deviation)
        if num_rings < 1:
            raise UserError(f"density: num_rings={num_rings} must be at least 1")
        self.num_rings = num_rings

    @override
    def centres(self) -> Tensor:
        radii = [0.8 * (i + 1) / self.num_rings for i in range(self.num_rings)]
        return torch.cat([_circle(_CENTRES, radius) for radius in radii])


class Moons(PlaneDensity):
    """Two interleaved half circles, as scikit-learn's ``make_moons``, scaled to the square.

    Args:
        deviation: Standard deviation from the half circles.
    """

    def __init__(self, deviation: float = 0.06) -> None:
        super().__init__(deviation)

    @override
    def centres(self) -> Tensor:
        angle = (torch.arange(_CENTRES, dtype=torch.float64) + 0.5) * (math.pi / _CENTRES)
        upper = torch.stack([angle.cos(), angle.sin()], 1)
        lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
        return (torch.cat([upper, lower]) - torch.tensor([0.5, 0.25], dtype=torch.float64)) * 0.55


_CENTRES = 256  # of a curve, whose distance is far below the deviation


def _circle(count: int, radius: float) -> Tensor:
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    return radius * torch.stack([angle.cos(), angle.sin()], 1)
