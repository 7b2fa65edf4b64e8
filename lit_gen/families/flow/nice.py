"""NICE: additive couplings and a diagonal scaling."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.bijections import Bijection, Chain, Coupling, EvenOdd, Flatten, Normalize, Transform, halves
from lit_gen.errors import UserError
from lit_gen.families.flow.dequantization import Dequantization
from lit_gen.families.flow.flow import Flow
from lit_gen.families.flow.prior import Prior
from lit_gen.nets import MLPCouplings
from lit_gen.noise import Noise
from lit_gen.optim import AdamW


class Shift(Transform):
    """``z = x + t``, which is volume-preserving (equation 9)."""

    num_parameters = 1

    @override
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return x + parameters[:, 0].float(), torch.zeros_like(x)

    @override
    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        return z - parameters[:, 0].float()


class StandardLogistic(Prior):
    """Independent standard logistic latents (equation 12).

    Args:
        num_dims: Dimensions of a latent vector.
    """

    def __init__(self, num_dims: int) -> None:
        super().__init__()
        self.num_dims = num_dims

    @override
    def log_prob(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return -(F.softplus(z) + F.softplus(-z)).sum(1)

    @override
    def sample(self, noise: Noise, label: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        # A uniform draw of exactly 0 would give minus infinity.
        u = noise.uniform(self.num_dims).clamp(torch.finfo(torch.float32).tiny, 1 - 2**-24)
        return temperature * torch.logit(u)


class NICE(Flow):
    """Additive couplings that alternately transform even and odd dimensions, a diagonal scaling, and logistic latents.

    The diagonal scaling of section 3.3 is an activation normalization, whose scale is learned and initialized from
    data; a second one replaces the paper's fixed rescaling of the data.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
        num_couplings: Number of coupling layers; 4 in the paper.
        nets: Networks inside the couplings; 5 hidden layers of 1,000 units in the paper for MNIST.
        dequantization: Noise that makes the integers real; uniform if not given, as in the paper.
        temperature: Factor of the latents when sampling.
        optimizer: Optimizer of all parameters.

    Raises:
        UserError: If there is no coupling, or the data have a single dimension.

    References:
        Dinh, Krueger, Bengio: NICE: Non-linear Independent Components Estimation, 2014, arXiv:1410.8516.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_couplings: int = 4,
        nets: MLPCouplings | None = None,
        dequantization: Dequantization | None = None,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        if num_couplings < 1 or math.prod(shape) < 2:
            raise UserError(
                f"NICE: num_couplings={num_couplings} must be at least 1, and the data's shape {tuple(shape)} must"
                " have at least 2 dimensions"
            )
        self.num_couplings, self.nets = num_couplings, nets or MLPCouplings()
        super().__init__(
            shape,
            num_levels,
            dequantization=dequantization,
            num_classes=0,
            temperature=temperature,
            optimizer=optimizer,
        )

    @override
    def build_bijection(self) -> Bijection:
        steps: list[Bijection] = [Flatten(self.shape), EvenOdd(), Normalize(self.num_dims)]
        for i in range(self.num_couplings):
            moves_upper = i % 2 == 1
            stays, moves = halves(self.num_dims, moves_upper)
            steps.append(Coupling(self.nets.net(stays, moves), Shift(), moves_upper))
        return Chain([*steps, Normalize(self.num_dims)])

    @override
    def build_prior(self) -> Prior:
        return StandardLogistic(self.num_dims)
