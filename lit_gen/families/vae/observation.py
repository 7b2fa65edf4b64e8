"""Observation models p(x | z): distributions of integers given a decoder's outputs."""

from __future__ import annotations

import abc

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.likelihood import bernoulli_log_prob, categorical_log_prob, discretized_logistic_log_prob
from lit_gen.noise import Noise
from lit_gen.quantization import from_symmetric


class Observation(abc.ABC):
    """A distribution over integers, independent over dimensions given the decoder's outputs ``[B, M, *shape]``."""

    @abc.abstractmethod
    def num_maps(self, num_levels: int) -> int:
        """Number M of parameters per dimension."""

    @abc.abstractmethod
    def log_prob(self, maps: Tensor, x: Tensor, num_levels: int) -> Tensor:
        """Log p(x | z) in nats, ``[B]``; ``maps`` are the parameters ``[B, M, *shape]``."""

    @abc.abstractmethod
    def sample(self, maps: Tensor, noise: Noise, num_levels: int) -> Tensor:
        """Samples integers, uint8 ``[B, *shape]``."""

    @abc.abstractmethod
    def mode(self, maps: Tensor, num_levels: int) -> Tensor:
        """Most probable integer of each dimension, uint8 ``[B, *shape]``."""


class Bernoulli(Observation):
    """For binary data: one logit per dimension."""

    def num_maps(self, num_levels: int) -> int:
        """One parameter.

        Raises:
            UserError: If the data have more than two values.
        """
        if num_levels != 2:
            raise UserError(
                f"observation: Bernoulli is for data with 2 values, but these have {num_levels};"
                " use Categorical or DiscretizedLogistic, or binarize the data"
            )
        return 1

    @override
    def log_prob(self, maps: Tensor, x: Tensor, num_levels: int) -> Tensor:
        return bernoulli_log_prob(maps[:, 0], x)

    @override
    def sample(self, maps: Tensor, noise: Noise, num_levels: int) -> Tensor:
        logits = maps[:, 0]
        return (noise.uniform(*logits.shape[1:]) < logits.sigmoid()).to(torch.uint8)

    @override
    def mode(self, maps: Tensor, num_levels: int) -> Tensor:
        return (maps[:, 0] > 0).to(torch.uint8)


class Categorical(Observation):
    """Independent probabilities for all values, which ignore their order."""

    def num_maps(self, num_levels: int) -> int:
        """One logit per value."""
        return num_levels

    @override
    def log_prob(self, maps: Tensor, x: Tensor, num_levels: int) -> Tensor:
        return categorical_log_prob(maps, x)

    def sample(self, maps: Tensor, noise: Noise, num_levels: int) -> Tensor:
        """Inverts the distribution function at one uniform draw per dimension."""
        cdf = maps.float().softmax(1).cumsum(1)[:, :-1]
        u = noise.uniform(*maps.shape[2:]).unsqueeze(1)
        return (u >= cdf).sum(1).to(torch.uint8)

    @override
    def mode(self, maps: Tensor, num_levels: int) -> Tensor:
        return maps.argmax(1).to(torch.uint8)


class DiscretizedLogistic(Observation):
    """For ordered values: one discretized logistic per dimension.

    Args:
        min_log_scale: Lower bound of the log scale, for data in [-1, 1]; limits the mass of a single bin.

    References:
        Kingma et al.: Improving Variational Inference with Inverse Autoregressive Flow, 2016,
        arXiv:1606.04934, section 5; and Salimans et al. 2017, arXiv:1701.05517, equation 2.
    """

    def __init__(self, min_log_scale: float = -7.0) -> None:
        self.min_log_scale = min_log_scale

    def num_maps(self, num_levels: int) -> int:
        """Mean and log scale."""
        return 2

    def _parameters(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = maps.unbind(1)
        return mean, log_scale.clamp_min(self.min_log_scale)

    @override
    def log_prob(self, maps: Tensor, x: Tensor, num_levels: int) -> Tensor:
        mean, log_scale = self._parameters(maps)
        return discretized_logistic_log_prob(mean, log_scale, x, num_levels)

    def sample(self, maps: Tensor, noise: Noise, num_levels: int) -> Tensor:
        """A logistic sample, rounded to the nearest value: the same bins as in ``log_prob``."""
        mean, log_scale = self._parameters(maps)
        u = noise.uniform(*mean.shape[1:]).clamp(1e-6, 1 - 1e-6)
        return from_symmetric(mean + log_scale.exp() * torch.logit(u), num_levels)

    def mode(self, maps: Tensor, num_levels: int) -> Tensor:
        """The value nearest to the mean, or an end value: those bins contain a whole tail each, which may be more."""
        mean, log_scale = (p.reshape(-1, 1) for p in self._parameters(maps))
        best = from_symmetric(mean, num_levels)
        for end in (0, num_levels - 1):
            level = torch.full_like(best, end)
            gain = discretized_logistic_log_prob(mean, log_scale, level, num_levels) - (
                discretized_logistic_log_prob(mean, log_scale, best, num_levels)
            )
            best = torch.where(gain[:, None] > 0, level, best)
        return best.view_as(maps[:, 0])
