"""Objectives of score matching at one noise level: denoising, sliced and exact.

The score of noised data is ``-eps_hat / sigma``. All three estimate the same distance, weighted by ``sigma**2``, from
the score of the noised data, ``E ||eps - eps_hat||**2``, and have equal gradients in expectation: by Stein's identity
``E[eps . eps_hat(z)] = sigma E[trace of d eps_hat / d z]``. They differ in variance and cost.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError

NoiseOf = Callable[[Tensor], Tensor]
"""Function from z ``[B, *shape]`` to predicted noise eps_hat, each row with its own noise level."""


class ScoreMatching(abc.ABC):
    """An objective of score matching."""

    contains_gradient = True
    """Whether the loss contains a derivative of the network, which must then not be compiled."""

    @abc.abstractmethod
    def loss(self, noise_of: NoiseOf, z: Tensor, eps: Tensor, sigma: Tensor) -> Tensor:
        """The loss of each example, a mean over dimensions, ``[B]``.

        Args:
            noise_of: The network's prediction.
            z: Noised data in the variance-preserving scale, ``[B, *shape]``.
            eps: The noise in z.
            sigma: Its standard deviation, ``[B, 1, ...]``.
        """


class Denoising(ScoreMatching):
    """Denoising score matching: the squared error of the noise.

    References:
        Vincent: A Connection Between Score Matching and Denoising Autoencoders, 2011.
    """

    contains_gradient = False

    @override
    def loss(self, noise_of: NoiseOf, z: Tensor, eps: Tensor, sigma: Tensor) -> Tensor:
        return (eps - noise_of(z)).square().flatten(1).mean(1)


class Sliced(ScoreMatching):
    """Sliced score matching: the trace of the score's Jacobian is estimated along random directions.

    It does not use which noise is in z, so it needs no known noise distribution; it costs a second backward pass.

    Args:
        num_projections: Number of directions v of each example, of independent random signs.
        variance_reduction: Whether ``||s||**2`` is computed in place of its estimate ``(v . s)**2``.

    Raises:
        UserError: If there are no directions.

    References:
        Song, Garg, Shi, Ermon: Sliced Score Matching, 2019, arXiv:1905.07088, equations 7 and 8.
    """

    def __init__(self, num_projections: int = 1, variance_reduction: bool = True) -> None:
        if num_projections < 1:
            raise UserError(f"objective: num_projections={num_projections} must be at least 1")
        self.num_projections, self.variance_reduction = num_projections, variance_reduction

    @override
    def loss(self, noise_of: NoiseOf, z: Tensor, eps: Tensor, sigma: Tensor) -> Tensor:
        at = z.detach().requires_grad_()
        eps_hat = noise_of(at)
        total = torch.zeros_like(z)
        for _ in range(self.num_projections):
            v = torch.randint(0, 2, z.shape, device=z.device).to(z.dtype) * 2 - 1
            total = total + (1 - 2 * sigma * v * _derivative(eps_hat, at, v)) / self.num_projections
            if not self.variance_reduction:
                along = (v * eps_hat).flatten(1).sum(1).square() / (v[0].numel() * self.num_projections)
                total = total + along.view_as(sigma)
        if self.variance_reduction:
            total = total + eps_hat.square()
        return total.flatten(1).mean(1)


class Exact(ScoreMatching):
    """Score matching with the exact trace, a backward pass for each dimension: for few of them.

    References:
        Hyvarinen: Estimation of Non-Normalized Statistical Models by Score Matching, 2005, theorem 1.
    """

    @override
    def loss(self, noise_of: NoiseOf, z: Tensor, eps: Tensor, sigma: Tensor) -> Tensor:
        at = z.detach().requires_grad_()
        eps_hat = noise_of(at)
        total = 1 + eps_hat.square()
        for unit in torch.eye(z[0].numel(), dtype=z.dtype, device=z.device):
            direction = unit.view(1, *z.shape[1:]).expand_as(z)
            total = total - 2 * sigma * direction * _derivative(eps_hat, at, direction)
        return total.flatten(1).mean(1)


def _derivative(eps_hat: Tensor, at: Tensor, v: Tensor) -> Tensor:
    """Product of v with the Jacobian, which can be differentiated again."""
    (product,) = torch.autograd.grad(eps_hat, at, v, create_graph=True)
    return product
