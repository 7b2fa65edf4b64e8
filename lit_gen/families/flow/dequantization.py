"""Noise that turns integers into real numbers, and what it costs."""

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
    """A distribution q(u | x) of noise u in [0, 1)^D, of which every density of ``x + u`` gives a bound.

    ``log P(x) >= E_q [ log p(x + u) - log q(u | x) ]`` for any q, and closest for the q that is the model's own
    ``p(u | x)``.

    References:
        Theis et al. 2016, arXiv:1511.01844, section 3.1 (uniform). Ho et al.: Flow++, 2019, arXiv:1902.00275,
        equation 8 (variational).
    """

    name: str

    @abc.abstractmethod
    def noise_like(self, x: Tensor) -> Tensor:
        """The distribution's own randomness for a training step, of x's shape, from torch's generator."""

    @abc.abstractmethod
    def noise_for(self, x: Tensor, noise: Noise) -> Tensor:
        """The same for a score, from the examples' own streams."""

    @abc.abstractmethod
    def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """U in [0, 1) of x's shape, and log q(u | x) in nats, ``[B]``."""


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
        """Log q is 0."""
        return eps, torch.zeros(len(x), device=x.device)


class Variational(Dequantizer):
    """U from a flow of its own, conditioned on x: ``u = sigmoid(g(eps; x))`` with normal eps.

    It starts near the uniform distribution: logistic noise put through a sigmoid is uniform, and a normal of
    standard deviation 1.6 is nearly logistic.

    Args:
        bijection: g, from eps to the logit of u, with a context.
        context: From x in [-1, 1] to g's context.
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


# ------------------------------------------------------------------ how a config names them


class Dequantization(abc.ABC):
    """How a dequantizer is built, once the shape of the data is known."""

    @abc.abstractmethod
    def build(self, shape: Sequence[int], num_levels: int) -> Dequantizer:
        """The dequantizer of such data."""


class UniformDequantization(Dequantization):
    """Uniform noise: nothing to learn."""

    @override
    def build(self, shape: Sequence[int], num_levels: int) -> Dequantizer:
        return Uniform()


class VariationalDequantization(Dequantization):
    """Noise from affine couplings that see the data: for images on checkerboards, for vectors on even and odd.

    Args:
        num_couplings: Couplings in the flow.
        nets: Their nets; gated convolutions of 16 channels for images and an MLP for vectors if not given.

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
    """A bijection of a vector's even and odd dimensions in turn, on data of any shape, which come out as they went in.

    The noise it starts from is alike in all dimensions: only what comes out needs its order.
    """

    def __init__(self, bijection: Bijection, shape: Sequence[int]) -> None:
        super().__init__()
        self.bijection, self.order, self.shape = bijection, EvenOdd(), tuple(shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, volume = self.bijection(x.flatten(1), context)
        return self.order.inverse(z).unflatten(1, self.shape), volume

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.bijection.inverse(self.order(z.flatten(1))[0], context).unflatten(1, self.shape)
