"""Densities of a flow's latents."""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.likelihood import gaussian_log_prob, standard_normal_log_prob
from lit_gen.noise import Noise


class Prior(nn.Module, abc.ABC):
    """A density of latent vectors ``[B, D]``, conditioned on a class or averaged over all classes."""

    @abc.abstractmethod
    def log_prob(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Log p(z | label), or log p(z) without a label: nats, ``[B]``."""

    @abc.abstractmethod
    def sample(self, noise: Noise, label: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """Samples latents ``[B, D]``; all standard deviations are multiplied by the temperature."""


class StandardNormal(Prior):
    """N(0, 1) in each dimension, without parameters.

    Args:
        num_dims: Number of dimensions D.
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
    """A diagonal Gaussian per class; without a label, their mixture with equal weights.

    The mixture is a density of z alone, so that bits per dimension of a class-conditional flow are comparable
    with those of an unconditional one.

    Args:
        num_dims: Number of dimensions D.
        num_classes: Number of label classes; labels are ``{0..num_classes-1}``.
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
        """Samples latents; also the classes if no label is given."""
        drawn = (noise.uniform() * self.num_classes).long()
        label = drawn if label is None else label
        return self.mean[label] + temperature * self.log_scale[label].exp() * noise.normal(self.num_dims)
