"""Bijections away from their start, with inputs and a context for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from families import conformance as laws
from torch import Tensor

from lit_gen.bijections import (
    Affine,
    Bijection,
    Centre,
    Chain,
    CheckerboardCoupling,
    Coupling,
    EvenOdd,
    Factor,
    Flatten,
    InvertibleConv1x1,
    Logit,
    MaskedAffine,
    Normalize,
    RationalQuadraticSpline,
    Reverse,
    Sigmoid,
    SigmoidAffine,
    Squeeze,
    Transform,
    halves,
)
from lit_gen.nets import GatedCouplings, GlowCouplings, MaskedAutoencoder, MLPCouplings, ResidualCouplings, ScaledConv2d

Shape = tuple[int, ...]
SPLINE = RationalQuadraticSpline(num_bins=4, bound=2.0)


class Case(NamedTuple):
    build: Callable[[], Bijection]
    shape: Shape
    context: Shape | None = None  # of one that the map depends on
    on_unit: bool = False  # takes [0, 1]


def vector(transform: Callable[[int], Transform], D: int, moves_upper: bool, context: int = 0) -> Bijection:
    stays, moves = halves(D, moves_upper)
    made = transform(moves)
    net = MLPCouplings((8,), activation="tanh").net(stays + context, made.num_parameters * moves)
    return Coupling(net, made, moves_upper)


def image(transform: Callable[[int], Transform], C: int, moves_upper: bool, context: int = 0) -> Bijection:
    stays, moves = halves(C, moves_upper)
    made = transform(moves)
    nets = ResidualCouplings(5, 1) if isinstance(made, RationalQuadraticSpline) else GlowCouplings(5)
    return Coupling(nets.net(stays + context, made.num_parameters * moves), made, moves_upper)


def board(transform: Callable[[int], Transform], C: int, parity: int, context: int = 0) -> Bijection:
    made = transform(C)
    nets = GatedCouplings(5, 1) if parity else ResidualCouplings(5, 1)
    return CheckerboardCoupling(nets.net(C + context, made.num_parameters * C), made, parity)


def glow(_: int) -> Transform:
    return SigmoidAffine()


def spline(_: int) -> Transform:
    return SPLINE


CASES = {
    "logit": Case(lambda: Logit(), (3,), on_unit=True),
    "logit of 1e-6": Case(lambda: Logit(1e-6), (1, 2, 2), on_unit=True),
    "sigmoid": Case(lambda: Sigmoid(), (2, 2)),
    "centre": Case(lambda: Centre(), (1, 2, 2), on_unit=True),
    "flatten": Case(lambda: Flatten((2, 1, 3)), (2, 1, 3)),
    "squeeze": Case(lambda: Squeeze(), (2, 4, 2)),
    "even, odd": Case(lambda: EvenOdd(), (5,)),
    "reverse": Case(lambda: Reverse(), (5,)),
    "normalize a vector": Case(lambda: Normalize(3), (3,)),
    "normalize an image": Case(lambda: Normalize(3), (3, 2, 3)),
    "rotate a vector": Case(lambda: InvertibleConv1x1(4), (4,)),
    "rotate an image": Case(lambda: InvertibleConv1x1(4), (4, 2, 3)),
    "affine, lower": Case(lambda: vector(Affine, 5, False), (5,)),
    "affine, upper, context": Case(lambda: vector(Affine, 5, True, 2), (5,), (2,)),
    "sigmoid affine, vector": Case(lambda: vector(glow, 3, True), (3,)),
    "spline, lower": Case(lambda: vector(spline, 5, False), (5,)),
    "spline, upper, context": Case(lambda: vector(spline, 4, True, 3), (4,), (3,)),
    "affine, upper channels": Case(lambda: image(Affine, 3, True), (3, 2, 2)),
    "affine, lower channels, context": Case(lambda: image(Affine, 3, False, 1), (3, 2, 2), (1, 2, 2)),
    "sigmoid affine, upper": Case(lambda: image(glow, 4, True), (4, 2, 2)),
    "spline, lower channels": Case(lambda: image(spline, 4, False), (4, 2, 2)),
    "board, affine, 0": Case(lambda: board(Affine, 2, 0), (2, 3, 3)),
    "board, affine, 1, context": Case(lambda: board(Affine, 1, 1, 2), (1, 3, 4), (2, 3, 4)),
    "board, sigmoid affine": Case(lambda: board(glow, 1, 1), (1, 2, 4)),
    "board, spline, 0": Case(lambda: board(spline, 1, 0), (1, 3, 3)),
    "factor": Case(lambda: Factor(Chain([Normalize(2), Flatten((2, 2, 2))]), (3, 2, 2)), (3, 2, 2)),
    "factor, expected": Case(lambda: Factor(Flatten((2, 2, 2)), (4, 2, 2), ScaledConv2d(2, 4, 3, 1)), (4, 2, 2)),
    "factor, context": Case(
        lambda: Factor(Chain([image(Affine, 2, True, 1), Flatten((2, 2, 2))]), (4, 2, 2)), (4, 2, 2), (1, 2, 2)
    ),
    "autoregressive": Case(lambda: MaskedAffine(MaskedAutoencoder(5, 2, (12, 9), "tanh")), (5,)),
    "chain": Case(
        lambda: Chain([Logit(), Squeeze(), Normalize(4), InvertibleConv1x1(4), image(spline, 4, True)]),
        (1, 4, 2),
        on_unit=True,
    ),
    "chain, context": Case(
        lambda: Chain([vector(Affine, 4, False, 2), Reverse(), vector(spline, 4, True, 2)]), (4,), (2,)
    ),
}  # fmt: skip


def built(name: str, batch: int = 7) -> tuple[Bijection, Tensor, Tensor | None]:
    """A bijection away from its start, its inputs and its context."""
    case = CASES[name]
    torch.manual_seed(0)
    bijection = case.build()
    laws.stir(bijection, seed=1, scale=0.4)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(batch, *case.shape, generator=generator)
    if case.on_unit:
        x = torch.rand(batch, *case.shape, generator=generator)
    context = None if case.context is None else torch.randn(batch, *case.context, generator=generator)
    return bijection, x, context


def autograd_jacobians(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``[B, D, D]`` in float64; examples do not see each other, so that sums over the batch do."""
    rows = torch.autograd.functional.jacobian(lambda x: f(x).flatten(1).sum(0), x)
    return rows.transpose(0, 1).flatten(2).double()
