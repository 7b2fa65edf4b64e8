"""RealNVP: affine couplings on checkerboards and channels, at several scales."""

from __future__ import annotations

from lightning.pytorch.cli import OptimizerCallable
from typing_extensions import override

from lit_gen.bijections import (
    Affine,
    Bijection,
    Chain,
    CheckerboardCoupling,
    Coupling,
    Factor,
    Flatten,
    Logit,
    Normalize,
    Squeeze,
    halves,
)
from lit_gen.errors import UserError
from lit_gen.families.flow.dequantization import Dequantization
from lit_gen.families.flow.flow import Flow
from lit_gen.nets import ImageCouplingNets, ResidualCouplings
from lit_gen.optim import AdamW

Shape = tuple[int, int, int]


class RealNVP(Flow):
    """Real-valued non-volume-preserving transformations, for images.

    At each scale but the last: checkerboard couplings, a squeeze, channel couplings, and half of the channels are
    factored out. The last scale has one more checkerboard coupling, and nothing is factored out. Batch norm between
    couplings is replaced by activation normalization: the density of an image does not depend on its batch, neither
    in training nor in scoring.

    Args:
        shape: Shape of one image ``(C, H, W)``; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_scales: Number of scales; images are halved one time fewer.
        num_couplings: Number of checkerboard couplings per scale, and of channel couplings; 3 in the paper.
        nets: Networks in the couplings; residual if not given.
        alpha: Constant of the initial logit; 0.05 in the paper.
        dequantization: Noise that makes the integers real; uniform if not given.
        num_classes: Number of label classes, each with a prior of its own; 0 means unconditional.
        temperature: Factor of the prior's standard deviations when sampling.
        optimizer: Optimizer of all parameters.

    References:
        Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017, arXiv:1605.08803.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_scales: int = 2,
        num_couplings: int = 2,
        nets: ImageCouplingNets | None = None,
        alpha: float = 0.05,
        dequantization: Dequantization | None = None,
        num_classes: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        if len(shape) != 3:
            raise UserError(f"RealNVP needs images [C, H, W], the data have shape {tuple(shape)}; use MLPRealNVP")
        if num_scales < 1 or num_couplings < 1:
            raise UserError(
                f"RealNVP: num_scales={num_scales} and num_couplings={num_couplings} must be at least 1"
            )
        self.num_scales, self.num_couplings = num_scales, num_couplings
        self.nets, self.alpha = nets or ResidualCouplings(), alpha
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
        channels, height, width = self.shape
        return Chain([Logit(self.alpha), self._scale((channels, height, width), self.num_scales)])

    def _scale(self, shape: Shape, scales_left: int) -> Bijection:
        if shape[1] * shape[2] < 2:
            raise UserError(
                f"RealNVP: num_scales={self.num_scales} leaves {shape[1]}x{shape[2]} pixels of {self.shape[1]}x"
                f"{self.shape[2]} at the last scale, too few for a checkerboard; lower it"
            )
        if scales_left == 1:
            return Chain([*self._on_checkerboards(shape, self.num_couplings + 1), Flatten(shape)])
        squeezed = Squeeze.output_shape(shape)
        stays = ((squeezed[0] + 1) // 2, squeezed[1], squeezed[2])
        deeper = self._scale(stays, scales_left - 1)
        return Chain(
            [
                *self._on_checkerboards(shape, self.num_couplings),
                Squeeze(),
                *self._on_channels(squeezed),
                Factor(deeper, squeezed),
            ]
        )

    def _on_checkerboards(self, shape: Shape, count: int) -> list[Bijection]:
        channels = shape[0]
        steps: list[Bijection] = []
        for i in range(count):
            steps.append(CheckerboardCoupling(self.nets.net(channels, 2 * channels), Affine(channels), i % 2))
            steps.append(Normalize(channels))
        return steps

    def _on_channels(self, shape: Shape) -> list[Bijection]:
        channels = shape[0]
        steps: list[Bijection] = []
        for i in range(self.num_couplings):
            moves_upper = i % 2 == 0
            stays, moves = halves(channels, moves_upper)
            steps.append(Coupling(self.nets.net(stays, 2 * moves), Affine(moves), moves_upper))
            steps.append(Normalize(channels))
        return steps
