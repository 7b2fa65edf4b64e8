"""Coupling flows of vectors: the fully connected RealNVP and spline flow that the literature compares with MAF."""

from __future__ import annotations

import abc
import math

from lightning.pytorch.cli import OptimizerCallable
from typing_extensions import override

from lit_gen.bijections import (
    Affine,
    Bijection,
    Chain,
    Coupling,
    EvenOdd,
    Flatten,
    Logit,
    Normalize,
    RationalQuadraticSpline,
    Transform,
    halves,
)
from lit_gen.errors import UserError
from lit_gen.families.flow.dequantization import Dequantization
from lit_gen.families.flow.flow import Flow
from lit_gen.nets import MLPCouplings
from lit_gen.optim import AdamW


class _MLPFlow(Flow, abc.ABC):
    """A logit, activation normalization, then couplings that alternately transform even and odd dimensions.

    The papers use batch norm between couplings; without it an example's density does not depend on its batch.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_couplings: int,
        nets: MLPCouplings | None,
        alpha: float,
        dequantization: Dequantization | None,
        num_classes: int,
        temperature: float,
        optimizer: OptimizerCallable,
    ) -> None:
        if num_couplings < 1 or math.prod(shape) < 2:
            raise UserError(
                f"num_couplings={num_couplings} must be at least 1, and the data's shape {tuple(shape)} must have at"
                " least 2 dimensions"
            )
        self.num_couplings, self.nets, self.alpha = num_couplings, nets or MLPCouplings(), alpha
        super().__init__(
            shape,
            num_levels,
            dequantization=dequantization,
            num_classes=num_classes,
            temperature=temperature,
            optimizer=optimizer,
        )

    @abc.abstractmethod
    def build_transform(self, num_dims: int) -> Transform:
        """Builds a coupling's transform of this number of dimensions."""

    @override
    def build_bijection(self) -> Bijection:
        steps: list[Bijection] = [Flatten(self.shape), Logit(self.alpha), EvenOdd(), Normalize(self.num_dims)]
        for i in range(self.num_couplings):
            moves_upper = i % 2 == 1  # the odd ones
            stays, moves = halves(self.num_dims, moves_upper)
            transform = self.build_transform(moves)
            net = self.nets.net(stays, transform.num_parameters * moves)
            steps.append(Coupling(net, transform, moves_upper))
        return Chain(steps)


class MLPRealNVP(_MLPFlow):
    """RealNVP of vectors with fully connected networks: the RealNVP in the tables of Papamakarios et al.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_couplings: Number of couplings; even and odd dimensions alternate.
        nets: Networks in the couplings.
        alpha: Constant of the initial logit; 1e-6 in the paper for MNIST.
        dequantization: Noise that makes the integers real; uniform if not given.
        num_classes: Number of label classes, each with a prior of its own; 0 means unconditional.
        temperature: Factor of the prior's standard deviations when sampling.
        optimizer: Optimizer of all parameters.

    References:
        Papamakarios, Pavlakou, Murray 2017, arXiv:1705.07057, section 4 and appendix D.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_couplings: int = 4,
        nets: MLPCouplings | None = None,
        alpha: float = 1.0e-6,
        dequantization: Dequantization | None = None,
        num_classes: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        super().__init__(
            shape,
            num_levels,
            num_couplings=num_couplings,
            nets=nets,
            alpha=alpha,
            dequantization=dequantization,
            num_classes=num_classes,
            temperature=temperature,
            optimizer=optimizer,
        )

    def build_transform(self, num_dims: int) -> Transform:
        """An affine transform."""
        return Affine(num_dims)


class MLPSplineFlow(_MLPFlow):
    """RQ-NSF (C) for vectors with fully connected networks.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_couplings: Number of couplings; even and odd dimensions alternate.
        num_bins: Number of bins of each spline.
        bound: Splines act on [-bound, bound].
        nets: Networks in the couplings.
        alpha: Constant of the initial logit.
        dequantization: Noise that makes the integers real; uniform if not given.
        num_classes: Number of label classes, each with a prior of its own; 0 means unconditional.
        temperature: Factor of the prior's standard deviations when sampling.
        optimizer: Optimizer of all parameters.

    References:
        Durkan, Bekasov, Murray, Papamakarios 2019, arXiv:1906.04032, section 5.1.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_couplings: int = 4,
        num_bins: int = 8,
        bound: float = 3.0,
        nets: MLPCouplings | None = None,
        alpha: float = 1.0e-6,
        dequantization: Dequantization | None = None,
        num_classes: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        self.num_bins, self.bound = num_bins, bound
        super().__init__(
            shape,
            num_levels,
            num_couplings=num_couplings,
            nets=nets,
            alpha=alpha,
            dequantization=dequantization,
            num_classes=num_classes,
            temperature=temperature,
            optimizer=optimizer,
        )

    def build_transform(self, num_dims: int) -> Transform:
        """A spline transform."""
        return RationalQuadraticSpline(self.num_bins, self.bound)
