"""Flows small enough for numbers known otherwise, a little trained where a test wants them so."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lit_gen.data import DiscreteDataModule, KnownEntropy, Loader, SampleSizes, Split
from lit_gen.families.flow import (
    MAF,
    Flow,
    Glow,
    MLPRealNVP,
    MLPSplineFlow,
    RealNVP,
    SplineFlow,
    UniformDequantization,
    VariationalDequantization,
)
from lit_gen.nets import GatedCouplings, GlowCouplings, MLPCouplings, ResidualCouplings

from . import conformance as laws
from .conformance import adamw

MLP = MLPCouplings((16, 16), activation="silu")
SMALL = ResidualCouplings(8, 1)
Build = Callable[..., Flow]

# Each takes a shape, levels and options of `Flow`.
OF_VECTORS: dict[str, Build] = {
    "MLPRealNVP": functools.partial(MLPRealNVP, num_couplings=3, nets=MLP),
    "MLPSplineFlow": functools.partial(MLPSplineFlow, num_couplings=2, num_bins=5, nets=MLP),
    "MAF": functools.partial(MAF, num_layers=2, hidden_sizes=(24,)),
    "MAF MoG": functools.partial(MAF, num_layers=1, num_components=3, hidden_sizes=(24,)),
    "MADE MoG": functools.partial(MAF, num_layers=0, num_components=3, hidden_sizes=(24,)),
}
OF_IMAGES: dict[str, Build] = {
    "RealNVP": functools.partial(RealNVP, num_scales=1, num_couplings=2, nets=SMALL),
    "Glow": functools.partial(Glow, num_steps=2, nets=GlowCouplings(8)),
    "SplineFlow": functools.partial(SplineFlow, num_steps=2, num_bins=5, nets=SMALL),
}
MULTI_SCALE: dict[str, Build] = {
    "RealNVP in 2 scales": functools.partial(RealNVP, num_scales=2, num_couplings=1, nets=SMALL),
    "Glow in 2 scales": functools.partial(Glow, num_scales=2, num_steps=1, nets=GlowCouplings(8)),
    "SplineFlow in 2 scales": functools.partial(SplineFlow, num_scales=2, num_steps=1, num_bins=5, nets=SMALL),
}
LEARNED: dict[str, Build] = {
    "MLPRealNVP, variational": functools.partial(OF_VECTORS["MLPRealNVP"], dequantization=VariationalDequantization(2)),
    "RealNVP, variational": functools.partial(
        RealNVP,
        num_scales=1,
        num_couplings=1,
        nets=SMALL,
        dequantization=VariationalDequantization(2, GatedCouplings(8, 1)),
    ),
    "Glow, variational MLP": functools.partial(OF_IMAGES["Glow"], dequantization=VariationalDequantization(2, MLP)),
}
SPACES = {
    **dict.fromkeys(OF_VECTORS, ((4,), 3)),
    **dict.fromkeys(OF_IMAGES, ((1, 2, 2), 3)),
    **dict.fromkeys(MULTI_SCALE, ((1, 4, 4), 2)),
    "MLPRealNVP, variational": ((4,), 3),
    "RealNVP, variational": ((1, 2, 2), 3),
    "Glow, variational MLP": ((1, 2, 2), 3),
}
ALL: dict[str, Build] = {**OF_VECTORS, **OF_IMAGES, **MULTI_SCALE, **LEARNED}
ENUMERABLE = [name for name, (shape, _) in SPACES.items() if shape != (1, 4, 4)]
UNIFORM, VARIATIONAL = UniformDequantization(), VariationalDequantization(2, MLP)


def source(name: str, **options: Any) -> KnownEntropy:
    shape, num_levels = SPACES[name]
    return KnownEntropy(shape, num_levels, splits=SampleSizes(num_train=4_000, num_val=200, num_test=2_000), **options)


def fresh(name: str, seed: int = 0, **options: Any) -> Flow:
    shape, num_levels = SPACES[name]
    torch.manual_seed(seed)
    return ALL[name](shape, num_levels, **options)


def stirred(name: str, scale: float = 0.2, **options: Any) -> Flow:
    """Away from the start, where a flow is nearly still."""
    model = fresh(name, **options)
    laws.stir(model, scale=scale)
    return model.eval()


@functools.cache
def trained(name: str) -> Flow:
    """Some hundred steps on a source of known entropy; not to be changed."""
    model = fresh(name, optimizer=adamw(lr=6e-3))
    laws.fit(model, source(name, batch_size=64), steps=150 if len(model.shape) == 3 else 200)
    return model


class Classes(DiscreteDataModule):
    """Two dark pixels of one of four places, one for each class, and a little noise: classes that do not overlap."""

    def __init__(self, labelled: bool = True, num_levels: int = 16) -> None:
        loader = Loader(eval_batch_size=100)
        super().__init__(name="classes", shape=(2,), num_levels=num_levels, batch_size=100, loader=loader)
        self.labelled = labelled

    @staticmethod
    def label_of(x: Tensor, num_levels: int = 16) -> Tensor:
        """Which quarter of the square a pair of levels lies in."""
        upper = (x >= num_levels // 2).long()
        return 2 * upper[:, 0] + upper[:, 1]

    def read(self) -> dict[str, Split]:  # type: ignore[override]
        generator = torch.Generator().manual_seed(0)
        splits = {}
        for name, n in {"train": 3_000, "val": 200, "test": 400}.items():
            label = torch.randint(4, (n,), generator=generator)
            centre = torch.stack([label // 2, label % 2], 1) * (self.num_levels // 2) + self.num_levels // 4
            x = (centre + torch.randint(-2, 3, (n, 2), generator=generator)).to(torch.uint8)
            splits[name] = Split(x, label if self.labelled else None)
        return splits


@functools.cache
def trained_on_classes() -> Flow:
    """A prior for each of four classes; not to be changed."""
    torch.manual_seed(0)
    model = OF_VECTORS["MLPRealNVP"]((2,), 16, num_classes=4, optimizer=adamw(lr=1e-2))
    laws.fit(model, Classes(), steps=300)
    return model


def dequantized(model: Flow, x: Tensor, seed: int = 0) -> Tensor:
    """y in [0, 1) for levels, with uniform noise."""
    u = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed))
    return (x + u) / model.num_levels
