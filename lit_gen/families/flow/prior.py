"""What a flow's latents are expected to be: densities on the far side of the bijection."""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.likelihood import gaussian_log_prob, standard_normal_log_prob
from lit_gen.noise import Noise


class Prior(nn.Module, abc.ABC):
    """A density of latent vectors ``[B, D]``, given a class or averaged over all classes."""

    @abc.abstractmethod
    def log_prob(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Log p(z | label), or log p(z) where no label is given: nats, ``[B]``."""

    @abc.abstractmethod
    def sample(self, noise: Noise, label: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """Latents ``[B, D]``; all standard deviations times the temperature."""


class StandardNormal(Prior):
    """N(0, 1) in each dimension: nothing to learn.

    Args:
        num_dims: D.
    """

    def __init__(self, num_dims: int) -> None:
        super().__init__()
        self.num_dims = num_dims

    @override
    def log_prob(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return standard_normal_log_prob(z)

    @override
    def sample(self, noise: Noise, label: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        return temperature * noise.normal(self.num_dims)


class ClassConditional(Prior):
    """A diagonal Gaussian for each class, all classes being equally likely where none is given.

    Without a label the density is that mixture, which is a density of z alone: a class-conditional flow's
    bits/dim compare with an unconditional one's.

    Args:
        num_dims: D.
        num_classes: Labels are ``{0..num_classes-1}``.
    """

    def __init__(self, num_dims: int, num_classes: int) -> None:
        super().__init__()
        self.num_dims, self.num_classes = num_dims, num_classes
        self.mean = nn.Parameter(torch.zeros(num_classes, num_dims))
        self.log_scale = nn.Parameter(torch.zeros(num_classes, num_dims))

    @override
    def log_prob(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        if label is not None:
            return gaussian_log_prob(z, self.mean[label], 2 * self.log_scale[label])
        each = [
            gaussian_log_prob(z, mean, 2 * log_scale)
            for mean, log_scale in zip(self.mean, self.log_scale, strict=True)
        ]
        return torch.stack(each).logsumexp(0) - math.log(self.num_classes)

    @override
    def sample(self, noise: Noise, label: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """Draws classes where none are given."""
        drawn = (noise.uniform() * self.num_classes).long()
        label = drawn if label is None else label
        return self.mean[label] + temperature * self.log_scale[label].exp() * noise.normal(self.num_dims)
