"""Masked autoregressive flow, over a Gaussian or over a MADE with mixtures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.bijections import Bijection, Chain, Flatten, Logit, MaskedAffine, Normalize, Reverse
from lit_gen.errors import UserError
from lit_gen.families.flow.dequantization import Dequantization, Uniform
from lit_gen.families.flow.flow import Flow
from lit_gen.families.flow.prior import Prior
from lit_gen.nets import MaskedAutoencoder
from lit_gen.nets.incremental_autoencoder import fill_in_order
from lit_gen.noise import Noise
from lit_gen.optim import AdamW


class MAF(Flow):
    """Masked autoregressive flow: each layer standardizes a dimension given the previous ones.

    Each layer reverses the order of the previous one. Batch norm between layers is replaced by activation
    normalization. With ``num_components`` the latents are modelled by a MADE with mixtures of Gaussians instead of a
    standard normal, which is the paper's MAF MoG, and its MADE MoG without layers. Sampling takes about one pass,
    instead of one per dimension.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_layers: Number of autoregressive layers; 1 is a MADE with Gaussian conditionals.
        hidden_sizes: Widths of the hidden layers of each MADE; (1024, 1024) in the paper for MNIST.
        num_components: Number of Gaussians per conditional of the latents; 0 for standard normal latents.
        alpha: Constant of the initial logit; 1e-6 in the paper for MNIST.
        dequantization: Noise that makes the integers real; uniform if not given.
        num_classes: Number of label classes, each with its own prior; 0 means unconditional. Requires 0 components.
        temperature: Factor of the prior's standard deviations when sampling.
        optimizer: Optimizer of all parameters.

    References:
        Papamakarios, Pavlakou, Murray: Masked Autoregressive Flow for Density Estimation, 2017, arXiv:1705.07057.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_layers: int = 2,
        hidden_sizes: Sequence[int] = (64, 64),
        num_components: int = 0,
        alpha: float = 1.0e-6,
        dequantization: Dequantization | None = None,
        num_classes: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        if num_layers < 0 or num_components < 0 or not num_layers + num_components:
            raise UserError(f"MAF: num_layers={num_layers} and num_components={num_components} must not both be 0")
        if num_components and num_classes:
            raise UserError("MAF: num_components cannot be combined with num_classes; leave num_classes out")
        self.num_layers, self.num_components = num_layers, num_components
        self.hidden_sizes, self.alpha = tuple(hidden_sizes), alpha
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
        steps: list[Bijection] = [Flatten(self.shape), Logit(self.alpha), Normalize(self.num_dims)]
        for i in range(self.num_layers):
            steps += [Reverse()] if i else []
            steps += [MaskedAffine(MaskedAutoencoder(self.num_dims, 2, self.hidden_sizes)), Normalize(self.num_dims)]
        return Chain(steps)

    @override
    def likelihood_in_float32(self, estimator: str | None = None) -> bool:
        # The other networks, of the mixture and of the dequantization, run in the Trainer's precision.
        return not self.num_components and isinstance(self.dequantizer, Uniform)

    @override
    def samples_in_float32(self) -> bool:
        return True

    @override
    def build_prior(self) -> Prior:
        if self.num_components:
            return MixtureMADE(self.num_dims, self.num_components, self.hidden_sizes)
        return super().build_prior()


class MixtureMADE(Prior):
    """``p(z) = prod_i p(z_i | z_<i)``, each a mixture of Gaussians whose parameters are computed by a MADE.

    Args:
        num_dims: Number of dimensions D.
        num_components: Number of Gaussians in a mixture.
        hidden_sizes: Widths of the hidden layers of the MADE.

    References:
        Papamakarios et al. 2017, arXiv:1705.07057, section 4.1 (MADE MoG).
    """

    def __init__(self, num_dims: int, num_components: int, hidden_sizes: Sequence[int]) -> None:
        super().__init__()
        self.num_dims, self.num_components = num_dims, num_components
        self.net = MaskedAutoencoder(num_dims, 3 * num_components, hidden_sizes)
        # Components are initialized differently: identical ones would always have identical gradients.
        start = torch.zeros(num_dims, 3, num_components)
        start[:, 1] = torch.linspace(-2, 2, num_components) if num_components > 1 else 0.0
        with torch.no_grad():
            self.net.layers[-1].bias.copy_(start.flatten())  # type: ignore[operator]

    def _mixture(self, parameters: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
        logits, mean, raw = parameters.float().chunk(3, dim)
        return logits, mean, 5.0 * torch.tanh(raw / 5.0)

    @override
    def log_prob(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        logits, mean, log_scale = self._mixture(self.net(z), 1)
        eps = (z[:, None] - mean) * (-log_scale).exp()
        each = logits.log_softmax(1) - 0.5 * eps**2 - log_scale - 0.5 * math.log(2 * math.pi)
        return each.logsumexp(1).sum(1)

    def sample(self, noise: Noise, label: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """Samples each dimension: first the component, then its Gaussian."""
        u = noise.uniform(self.num_dims).T.contiguous()
        eps = temperature * noise.normal(self.num_dims).T.contiguous()

        def value(i: int, parameters: Tensor) -> Tensor:
            logits, mean, log_scale = self._mixture(parameters, 0)
            component = (u[i] >= logits.softmax(0).cumsum(0)[:-1]).sum(0, keepdim=True)
            return mean.gather(0, component)[0] + log_scale.gather(0, component)[0].exp() * eps[i]

        with torch.autocast(u.device.type, enabled=False):
            return fill_in_order(self.net, len(noise), value)
