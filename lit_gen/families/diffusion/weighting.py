"""Weights of noise levels in the training of score SDEs, with the distribution of times."""

from __future__ import annotations

import abc

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.families.diffusion.sde import SDE


class Weighting(abc.ABC):
    """Draws times of a batch, and weighs the losses there."""

    @abc.abstractmethod
    def draw(self, sde: SDE, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Log-SNRs and weights of squared errors ``(eps - eps_hat)**2``, each float32 ``[count]``."""

    @staticmethod
    def even_times(sde: SDE, count: int, device: torch.device) -> Tensor:
        """Uniform times from the smallest one in training to 1, float32 ``[count]``."""
        return sde.first + (1 - sde.first) * torch.rand(count, device=device)


class NoiseWeighting(Weighting):
    """Uniform times; squared errors of the score weighted by the noise's variance, so that those of eps weigh alike.

    References:
        Song et al. 2021, arXiv:2011.13456, equation 7 and section 3.3.
    """

    @override
    def draw(self, sde: SDE, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        t = self.even_times(sde, count, device)
        return sde.log_snr(t), torch.ones_like(t)


class LikelihoodWeighting(Weighting):
    """The weights of the likelihood's bound, ``g(t)**2`` for the score: the loss is its diffusion term per dimension.

    Args:
        importance_sampling: Whether times are drawn in proportion to the weights of squared errors of eps, which is
            uniformly in the log-SNR, so that the drawn losses vary less; otherwise uniformly in time.

    References:
        Song, Durkan, Murray, Ermon: Maximum Likelihood Training of Score-Based Diffusion Models, 2021,
        arXiv:2101.09258, equations 7 and 12, and section 5.1 (importance sampling).
    """

    def __init__(self, importance_sampling: bool = True) -> None:
        self.importance_sampling = importance_sampling

    @override
    def draw(self, sde: SDE, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        if self.importance_sampling:
            first, last = sde.ends()
            log_snr = last + (first - last) * torch.rand(count, device=device)
            return log_snr, torch.full_like(log_snr, 0.5 * (first - last))
        t = self.even_times(sde, count, device)
        return sde.log_snr(t), 0.5 * (1 - sde.first) * sde.log_snr_speed(t)
