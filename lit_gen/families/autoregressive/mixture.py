"""Discretized mixtures of logistics over pixels, with dependent channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.likelihood import discretized_logistic_log_prob
from lit_gen.quantization import to_symmetric


class PixelMixture:
    """``P(pixel) = sum_k w_k prod_c P_k(x_c | x_<c)``, each factor a logistic discretized in bins around the values.

    The channels of a pixel share the mixture component: the conditional of a channel has the posterior weights of the
    components given the previous channels. Means are linear in these channels, on the scale of
    :func:`lit_gen.likelihood.to_symmetric`. Everything is computed in float32.

    Args:
        parameters: ``[N, num_parameters(C, K)]`` for N pixels: K logits, C times K means, C times K log scales, and
            K coefficients for each pair of channels, before their tanh.
        num_channels: Number of channels C.
        num_levels: Number of values of the data.

    References:
        Salimans, Karpathy, Chen, Kingma: PixelCNN++, 2017, arXiv:1701.05517, equations 1 to 3; the bounds on
        scales and coefficients follow the authors' code.
    """

    def __init__(self, parameters: Tensor, num_channels: int, num_levels: int) -> None:
        C = num_channels
        p = parameters.float().unflatten(1, (num_parameters(C, 1), -1))
        self.num_levels = num_levels
        self.log_weights = p[:, 0].log_softmax(1)
        self.mean = p[:, 1 : 1 + C]
        # Below this, the gradient far from a value is as large as 1/scale; far above, float32 cannot hold the inverse.
        self.log_scale = p[:, 1 + C : 1 + 2 * C].clamp(-7.0, 60.0)
        self.coefficients = p[:, 1 + 2 * C :].tanh()

    def _component_log_prob(self, mean: Tensor, log_scale: Tensor, level: Tensor) -> Tensor:
        """Log P_k of integers ``[N]``: ``[N, K]``, for means and log scales ``[N, K]``."""
        m, s, x = mean.reshape(-1, 1), log_scale.reshape(-1, 1), level.repeat_interleave(mean.shape[1])[:, None]
        return discretized_logistic_log_prob(m, s, x, self.num_levels).view(mean.shape)

    def _mean(self, c: int, x: Tensor) -> Tensor:
        """Means of channel c in each component, given the previous channels: ``[N, K]``."""
        mean = self.mean[:, c]
        for i in range(c):
            earlier = to_symmetric(x[:, i, None], self.num_levels)
            mean = mean + self.coefficients[:, c * (c - 1) // 2 + i] * earlier
        return mean

    def _joint(self, num_channels: int, x: Tensor) -> Tensor:
        """Joint log-probability of each component and the first channels: ``[N, K]``."""
        joint = self.log_weights
        for c in range(num_channels):
            joint = joint + self._component_log_prob(self._mean(c, x), self.log_scale[:, c], x[:, c])
        return joint

    def log_prob(self, x: Tensor) -> Tensor:
        """Log P of pixels ``[N, C]``: nats, ``[N]``."""
        return self._joint(x.shape[1], x).logsumexp(1)

    def level_log_probs(self, c: int, x: Tensor) -> Tensor:
        """Log P of all values of channel c, given the previous channels of x ``[N, C]``: ``[N, num_levels]``."""
        weights = self._joint(c, x).log_softmax(1)[:, :, None]
        mean, inverse_scale = self._mean(c, x)[:, :, None], torch.exp(-self.log_scale[:, c, :, None])
        # As in discretized_logistic_log_prob, but neighbouring values share edges, and all values share widths.
        edges = to_symmetric(torch.arange(self.num_levels - 1, device=x.device) + 0.5, self.num_levels)
        z = (edges - mean) * inverse_scale
        below = F.logsigmoid(z)
        above = below - z  # the logarithm of 1 - s(z), to a rounding error of z
        log_width = torch.log(-torch.expm1(-2.0 / (self.num_levels - 1) * inverse_scale))
        inside = below[:, :, 1:] + above[:, :, :-1] + (weights + log_width)
        ends = below[:, :, :1] + weights, above[:, :, -1:] + weights
        return torch.cat([ends[0], inside, ends[1]], 2).logsumexp(1)


def num_parameters(num_channels: int, num_components: int) -> int:
    """Number of parameters of a pixel.

    >>> num_parameters(3, 10), num_parameters(1, 10)
    (100, 30)
    """
    return num_components * (1 + 2 * num_channels + num_channels * (num_channels - 1) // 2)
