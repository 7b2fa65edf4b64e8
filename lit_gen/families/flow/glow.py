"""Glow: invertible 1x1 convolutions between affine couplings."""

from __future__ import annotations

from lightning.pytorch.cli import OptimizerCallable
from typing_extensions import override

from lit_gen.bijections import Bijection, Centre, Chain, Coupling, Logit, SigmoidAffine, halves
from lit_gen.families.flow.dequantization import Dequantization
from lit_gen.families.flow.flow import Flow
from lit_gen.families.flow.multiscale import multiscale_chain
from lit_gen.nets import GlowCouplings, ImageCouplingNets
from lit_gen.optim import AdamW


class Glow(Flow):
    """Multi-scale flow whose steps are activation normalization, an invertible 1x1 convolution and an affine coupling.

    Args:
        shape: Shape of one image ``(C, H, W)``; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_scales: Number of scales; L in the paper.
        num_steps: Number of steps per scale; K in the paper.
        nets: Networks in the couplings; Glow's own if not given.
        alpha: Constant of an initial logit, such as 1e-5, for data with most values at the ends, such as a background;
            null for none, as in the paper: 1/2 is subtracted.
        dequantization: Noise that makes the integers real; uniform if not given.
        num_classes: Number of label classes, each with its own prior; 0 means unconditional.
        temperature: Factor of the prior's standard deviations when sampling; 0.7 for the paper's samples.
        optimizer: Optimizer of all parameters.

    References:
        Kingma, Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions, 2018, arXiv:1807.03039.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_scales: int = 1,
        num_steps: int = 2,
        nets: ImageCouplingNets | None = None,
        alpha: float | None = None,
        dequantization: Dequantization | None = None,
        num_classes: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        self.num_scales, self.num_steps, self.alpha = num_scales, num_steps, alpha
        self.nets = nets or GlowCouplings()
        super().__init__(
            shape,
            num_levels,
            dequantization=dequantization,
            num_classes=num_classes,
            temperature=temperature,
            optimizer=optimizer,
        )

    @override
    def build_bijection(self) -> Bijection:
        opening = Centre() if self.alpha is None else Logit(self.alpha)
        return Chain([opening, multiscale_chain(self.shape, self.num_scales, self.num_steps, self._coupling)])

    def _coupling(self, channels: int) -> Coupling:
        stays, moves = halves(channels, moves_upper=True)
        return Coupling(self.nets.net(stays, 2 * moves), SigmoidAffine(), moves_upper=True)
