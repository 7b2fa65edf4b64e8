"""Dequantization: noise that turns integers into real numbers, and its log-density."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.bijections import Affine, Bijection, Chain, CheckerboardCoupling, Coupling, EvenOdd, Sigmoid, halves
from lit_gen.likelihood import standard_normal_log_prob
from lit_gen.nets import CouplingNets, GatedCouplings, ImageCouplingNets, MLPCouplings
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric


class Dequantizer(nn.Module, abc.ABC):
    """A distribution q(u | x) of noise u in [0, 1)^D, with which any density of ``x + u`` gives a bound on P(x).

    ``log P(x) >= E_q [ log p(x + u) - log q(u | x) ]`` for any q, with equality if q is the model's own
    ``p(u | x)``.

    References:
        Theis et al. 2016, arXiv:1511.01844, section 3.1 (uniform). Ho et al.: Flow++, 2019, arXiv:1902.00275,
        equation 8 (variational).
    """

    name: str

    @abc.abstractmethod
    def noise_like(self, x: Tensor) -> Tensor:
        """Base noise for a training step, of x's shape, from torch's generator."""

    @abc.abstractmethod
    def noise_for(self, x: Tensor, noise: Noise) -> Tensor:
        """Base noise for scoring, from the examples' own streams."""

    @abc.abstractmethod
    def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Returns u in [0, 1), of x's shape, and log q(u | x) in nats, ``[B]``."""


class Uniform(Dequantizer):
    """U uniform on [0, 1)."""

    name = "uniform"

    @override
    def noise_like(self, x: Tensor) -> Tensor:
        return torch.rand(x.shape, device=x.device)

    @override
    def noise_for(self, x: Tensor, noise: Noise) -> Tensor:
        return noise.uniform(*x.shape[1:])

    def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log q = 0."""
        return eps, torch.zeros(len(x), device=x.device)


class Variational(Dequantizer):
    """U from a conditional flow: ``u = sigmoid(g(eps; x))`` with normal eps.

    It is initialized near the uniform distribution: the sigmoid of logistic noise is uniform, and a normal of
    standard deviation 1.6 is nearly logistic.

    Args:
        bijection: The bijection g from eps to the logit of u, with a context.
        context: Network from x in [-1, 1] to the context of g.
    """

    name = "variational"

    def __init__(self, bijection: Bijection, context: nn.Module, num_levels: int) -> None:
        super().__init__()
        self.bijection, self.context, self.num_levels = bijection, context, num_levels
        self.log_scale = nn.Parameter(torch.tensor(math.log(1.6)))

    @override
    def noise_like(self, x: Tensor) -> Tensor:
        return torch.randn(x.shape, device=x.device)

    @override
    def noise_for(self, x: Tensor, noise: Noise) -> Tensor:
        return noise.normal(*x.shape[1:])

    def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """``log q(u) = log N(eps) - log |du / deps|``."""
        h, moved = self.bijection(eps * self.log_scale.exp(), self.context(to_symmetric(x, self.num_levels)))
        u, squashed = Sigmoid()(h)
        volume = moved + squashed + self.log_scale * math.prod(eps.shape[1:])
        return u, standard_normal_log_prob(eps) - volume


# ------------------------------------------------------------------ for configurations


class Dequantization(abc.ABC):
    """Builds a dequantizer, given the shape of the data."""

    @abc.abstractmethod
    def build(self, shape: Sequence[int], num_levels: int) -> Dequantizer:
        """Builds the dequantizer for such data."""


class UniformDequantization(Dequantization):
    """Uniform noise, without parameters."""

    @override
    def build(self, shape: Sequence[int], num_levels: int) -> Dequantizer:
        return Uniform()


class VariationalDequantization(Dequantization):
    """Variational dequantization by conditional affine couplings: checkerboards for images, even and odd for vectors.

    Args:
        num_couplings: Number of couplings in the flow.
        nets: Networks in the couplings; gated convolutions of 16 channels for images, an MLP for vectors by default.

    References:
        Ho et al. 2019, arXiv:1902.00275, section 3.1.
    """

    def __init__(self, num_couplings: int = 4, nets: CouplingNets | None = None) -> None:
        self.num_couplings, self.nets = num_couplings, nets

    @override
    def build(self, shape: Sequence[int], num_levels: int) -> Dequantizer:
        nets = self.nets or (GatedCouplings(16, 2) if len(shape) == 3 else MLPCouplings((64, 64)))
        if isinstance(nets, ImageCouplingNets):
            steps: list[Bijection] = [
                CheckerboardCoupling(nets.net(2 * shape[0], 2 * shape[0]), Affine(shape[0]), i % 2)
                for i in range(self.num_couplings)
            ]
            return Variational(Chain(steps), nn.Identity(), num_levels)
        num_dims = math.prod(shape)
        steps = [_vector_coupling(nets, num_dims, i % 2 == 1) for i in range(self.num_couplings)]
        return Variational(_Flattened(Chain(steps), shape), nn.Flatten(), num_levels)


def _vector_coupling(nets: CouplingNets, num_dims: int, moves_odd: bool) -> Coupling:
    stays, moves = halves(num_dims, moves_odd)
    return Coupling(nets.net(stays + num_dims, 2 * moves), Affine(moves), moves_odd)


class _Flattened(Bijection):
    """Applies a bijection of vectors with even and odd dimensions separated to data of any shape, keeping the shape.

    The noise is identically distributed in all dimensions: only the output has to be reordered.
    """

    def __init__(self, bijection: Bijection, shape: Sequence[int]) -> None:
        super().__init__()
        self.bijection, self.order, self.shape = bijection, EvenOdd(), tuple(shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, volume = self.bijection(x.flatten(1), context)
        return self.order.inverse(z).unflatten(1, self.shape), volume

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.bijection.inverse(self.order(z.flatten(1))[0], context).unflatten(1, self.shape)
