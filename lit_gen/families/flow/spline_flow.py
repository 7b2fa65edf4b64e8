"""Neural spline flows: rational-quadratic couplings, for images."""

from __future__ import annotations

from lightning.pytorch.cli import OptimizerCallable
from typing_extensions import override

from lit_gen.bijections import Bijection, Centre, Chain, Coupling, Logit, RationalQuadraticSpline, halves
from lit_gen.families.flow.dequantization import Dequantization
from lit_gen.families.flow.flow import Flow
from lit_gen.families.flow.multiscale import multiscale_chain
from lit_gen.nets import ImageCouplingNets, ResidualCouplings
from lit_gen.optim import AdamW


class SplineFlow(Flow):
    """RQ-NSF (C) for images: Glow's architecture with rational-quadratic splines instead of affine transforms.

    Args:
        shape: Shape of one image ``(C, H, W)``; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_scales: Number of scales of the multi-scale architecture.
        num_steps: Number of couplings per scale.
        num_bins: Number of bins of each spline.
        bound: Splines act on [-bound, bound].
        nets: Networks in the couplings; residual if not given.
        alpha: Constant of an initial logit, such as 1e-5, for data with most values at the ends, such as a background;
            null for none, as in the paper: 1/2 is subtracted.
        dequantization: Noise that makes the integers real; uniform if not given.
        num_classes: Number of label classes, each with a prior of its own; 0 means unconditional.
        temperature: Factor of the prior's standard deviations when sampling.
        optimizer: Optimizer of all parameters.

    References:
        Durkan, Bekasov, Murray, Papamakarios: Neural Spline Flows, 2019, arXiv:1906.04032, section 5.2 and
        appendix B.2.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_scales: int = 1,
        num_steps: int = 2,
        num_bins: int = 8,
        bound: float = 3.0,
        nets: ImageCouplingNets | None = None,
        alpha: float | None = None,
        dequantization: Dequantization | None = None,
        num_classes: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        self.num_scales, self.num_steps, self.alpha = num_scales, num_steps, alpha
        self.num_bins, self.bound = num_bins, bound
        self.nets = nets or ResidualCouplings()
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
        spline = RationalQuadraticSpline(self.num_bins, self.bound)
        stays, moves = halves(channels, moves_upper=True)
        return Coupling(self.nets.net(stays, spline.num_parameters * moves), spline, moves_upper=True)
