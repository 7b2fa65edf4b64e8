"""Monotone rational-quadratic splines."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from lit_gen.bijections.transform import Transform
from lit_gen.errors import UserError


class Bin(NamedTuple):
    """The bin that contains a value; each field has the shape of the values.

    Attributes:
        left: First knot of the bin in x, as a fraction of the interval.
        low: First knot of the bin in z, as a fraction of the interval.
        width: Width of the bin, as a fraction of the interval.
        height: Height of the bin, as a fraction of the interval.
        raw_left: Raw slope at the first knot; 0 at the interval's end.
        raw_right: Raw slope at the second knot.
        number: Index of the bin, 0..K-1.
    """

    left: Tensor
    low: Tensor
    width: Tensor
    height: Tensor
    raw_left: Tensor
    raw_right: Tensor
    number: Tensor


class _FindBin(torch.autograd.Function):
    """Finds the bin of a value, given K raw widths, K raw heights and K - 1 raw slopes.

    Only six functions of the 3K - 1 parameters are used per value. As one operation, the search saves only the
    softmaxes for the backward pass, and the gradient of a softmax at one bin and at the sum of those before it needs
    no sum over bins: ``sum_j p_j g_j`` is computed from the two outputs.
    """

    @staticmethod
    def forward(ctx: Any, raw: Tensor, position: Tensor, num_bins: int, least: float, by_height: bool) -> Any:
        """``raw [B, 3K-1, ...]``, position ``[B, ...]`` in [0, 1] -> the fields of :class:`Bin`."""
        K, free = num_bins, 1 - least * num_bins
        shares = raw[:, : 2 * K].unflatten(1, (2, K)).softmax(2)
        sizes = shares * free + least
        ends = sizes.cumsum(2)
        index = (position.unsqueeze(1) >= ends[:, int(by_height), :-1]).sum(1, keepdim=True)
        both = index.unsqueeze(1).expand(-1, 2, *index.shape[1:])
        size = sizes.gather(2, both).squeeze(2)
        end = ends.gather(2, both).squeeze(2)
        start = torch.where(index == 0, 0.0, end - size)
        slopes = raw[:, 2 * K :]
        first, last = index == 0, index == K - 1
        raw_left = slopes.gather(1, (index - 1).clamp_min(0)).masked_fill(first, 0.0).squeeze(1)
        raw_right = slopes.gather(1, index.clamp_max(K - 2)).masked_fill(last, 0.0).squeeze(1)
        ctx.save_for_backward(shares, index, start, size)
        ctx.K, ctx.least, ctx.free = K, least, free
        index = index.squeeze(1)
        ctx.mark_non_differentiable(index)
        return start[:, 0], start[:, 1], size[:, 0], size[:, 1], raw_left, raw_right, index

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Gradients of the raw parameters; the position only selects the bin, and has no gradient."""
        shares, index, start, size = ctx.saved_tensors
        K, least, free = ctx.K, ctx.least, ctx.free
        g_start, g_size = torch.stack(gradients[:2], 1), torch.stack(gradients[2:4], 1)
        # As fractions: start = free * sum_{j<k} p_j + least * k, size = free * p_k + least.
        mean = g_start * (start - least * index) + g_size * (size - least)
        numbers = torch.arange(K, device=index.device).view(1, K, *[1] * (index.dim() - 2))
        # Masks as floats: a product is vectorized, unlike a selection between broadcast operands.
        before = (numbers < index).unsqueeze(1).to(shares.dtype)
        here = (numbers == index).unsqueeze(1).to(shares.dtype)
        g = (before * (free * g_start).unsqueeze(2)).addcmul_(here, (free * g_size).unsqueeze(2))
        out = shares.new_empty(len(shares), 3 * K - 1, *shares.shape[3:])
        products, g = out[:, : 2 * K].unflatten(1, (2, K)), g.sub_(mean.unsqueeze(2))
        if torch.compiler.is_compiling():  # torch.compile supports no output that is a view
            products.copy_(shares * g)
        else:
            torch.mul(shares, g, out=products)
        slopes = out[:, 2 * K :].zero_()
        g_left = gradients[4].unsqueeze(1).masked_fill(index == 0, 0.0)
        g_right = gradients[5].unsqueeze(1).masked_fill(index == K - 1, 0.0)
        slopes.scatter_add_(1, (index - 1).clamp_min(0), g_left)
        slopes.scatter_add_(1, index.clamp_max(K - 2), g_right)
        return out, None, None, None, None


class RationalQuadraticSpline(Transform):
    """A monotone rational-quadratic spline on [-bound, bound], the identity outside.

    Args:
        num_bins: Number of bins K; a value takes 3K - 1 parameters: K widths, K heights and K - 1 inner slopes.
        bound: Half the width of the interval.
        least: Least width and height of a bin, as a fraction of the interval, and least slope at a knot.

    References:
        Durkan, Bekasov, Murray, Papamakarios: Neural Spline Flows, 2019, arXiv:1906.04032, equations 4 and 5
        and appendix A.1 (equations 6 to 8 for the inverse).
    """

    def __init__(self, num_bins: int = 8, bound: float = 3.0, least: float = 1e-3) -> None:
        super().__init__()
        if num_bins < 2 or num_bins * least >= 1 or bound <= 0:
            raise UserError(f"a spline of {num_bins} bins on +-{bound}: give 2 to 500 bins, a bound above 0")
        self.num_bins, self.bound, self.least = num_bins, bound, least
        self.num_parameters = 3 * num_bins - 1
        self._shift = math.log(math.expm1(1 - least))  # a raw slope of 0 is a slope of 1

    def _find(self, position: Tensor, parameters: Tensor, by_height: bool) -> tuple[Tensor, ...]:
        """Left, low, width and height on the interval's own scale, and the two slopes."""
        share = (position / (2 * self.bound) + 0.5).detach()
        found = Bin(*_FindBin.apply(parameters.float(), share, self.num_bins, self.least, by_height))
        slopes = (self.least + F.softplus(raw + self._shift) for raw in (found.raw_left, found.raw_right))
        side = 2 * self.bound
        return (
            found.left * side - self.bound, found.low * side - self.bound, found.width * side, found.height * side,
            *slopes,
        )  # fmt: skip

    @override
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = x.abs() <= self.bound
        x_in = x.clamp(-self.bound, self.bound)
        left, low, width, height, slope_left, slope_right = self._find(x_in, parameters, by_height=False)
        s = height / width
        # Rounding may leave the bin, where the rational function has poles.
        xi = ((x_in - left) / width).clamp(0, 1)
        rest = 1 - xi
        both = xi * rest
        bottom = s + (slope_left + slope_right - 2 * s) * both
        z = low + height * (s * xi * xi + slope_left * both) / bottom
        top = slope_right * xi * xi + 2 * s * both + slope_left * rest * rest
        log_slope = 2 * (s / bottom).log() + top.log()
        return torch.where(inside, z, x), torch.where(inside, log_slope, 0.0)

    @override
    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """The root of a quadratic as a quotient of sums of positive terms, which lies in the bin.

        With the position t of z in its bin, the quadratic's discriminant (the paper's equations 6 to 8) is
        ``u**2 + 4 s**2 t (1 - t)``, where ``u = d_left (1 - t) - d_right t``. Neither it nor the root cancels.
        """
        inside = z.abs() <= self.bound
        z_in = z.clamp(-self.bound, self.bound)
        left, low, width, height, slope_left, slope_right = self._find(z_in, parameters, by_height=True)
        t = ((z_in - low) / height).clamp(0, 1)
        rest = 1 - t
        u = slope_left * rest - slope_right * t
        two_s = 2 * height / width
        gap = u.abs() + (u.square() + two_s.square() * t * rest).sqrt()
        from_left = torch.where(u < 0, gap, two_s * t)
        from_right = torch.where(u < 0, two_s * rest, gap)
        xi = from_left / (from_left + from_right)
        return torch.where(inside, xi * width + left, z)
