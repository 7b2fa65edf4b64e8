"""Neural spline flows: rational-quadratic couplings, for images."""

from __future__ import annotations

from lit_gen.bijections import Bijection, Centre, Chain, Coupling, Logit, RationalQuadraticSpline, halves
from lit_gen.families.flow.dequantization import Dequantization
from lit_gen.families.flow.flow import Flow
from lit_gen.families.flow.multiscale import levels
from lit_gen.nets import ImageCouplingNets, ResidualCouplings


class SplineFlow(Flow):
    """RQ-NSF (C) for images: Glow's levels and steps with rational-quadratic splines in place of affine maps.

    Args:
        shape: Of one image ``(C, H, W)``; linked from the data.
        num_levels: Of the data; linked from the data.
        num_scales: Levels of the multi-scale architecture.
        num_steps: Couplings a level.
        num_bins: Of each spline.
        bound: Splines act on [-bound, bound].
        nets: Of the couplings; residual if not given.
        alpha: Of a logit that opens the flow, such as 1e-5, where most levels lie at an end, as a background does;
            null for none, as in the paper: 1/2 is subtracted.
        dequantization: See :class:`Flow`.
        num_classes: See :class:`Flow`.
        temperature: See :class:`Flow`.
        lr: See :class:`Flow`.
        beta1: See :class:`Flow`.
        beta2: See :class:`Flow`.
        weight_decay: See :class:`Flow`.

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
        lr: float = 1.0e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        weight_decay: float = 0.0,
    ) -> None:
        self.num_scales, self.num_steps, self.alpha = num_scales, num_steps, alpha
        self.num_bins, self.bound = num_bins, bound
        self.nets = nets or ResidualCouplings()
        super().__init__(
            shape, num_levels, dequantization, num_classes, temperature, lr, beta1, beta2, weight_decay
        )

    def build_bijection(self) -> Bijection:
        """See :class:`Flow`."""
        opening = Centre() if self.alpha is None else Logit(self.alpha)
        return Chain([opening, levels(self.shape, self.num_scales, self.num_steps, self._coupling)])

    def _coupling(self, channels: int) -> Coupling:
        spline = RationalQuadraticSpline(self.num_bins, self.bound)
        stays, moves = halves(channels, moves_upper=True)
        return Coupling(self.nets.net(stays, spline.num_parameters * moves), spline, moves_upper=True)
