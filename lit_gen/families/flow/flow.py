"""Base class of normalizing flows."""

from __future__ import annotations

import abc
import math

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.bijections import Bijection, Chain, EvenOdd, Flatten, Reverse
from lit_gen.contract import Batch, GenerativeModule, Tempered
from lit_gen.errors import UserError
from lit_gen.families.flow.dequantization import Dequantization, UniformDequantization
from lit_gen.families.flow.prior import ClassConditional, Prior, StandardNormal
from lit_gen.likelihood import Likelihood, LogMeanExp
from lit_gen.nets import ActNorm
from lit_gen.noise import Noise
from lit_gen.optim import parameter_groups
from lit_gen.quantization import dequantize


class Flow(GenerativeModule, abc.ABC):
    """A bijection f from dequantized data ``y = (x + u) / num_levels`` to latents z with a simple density.

    ``log p(y) = log p_z(f(y)) + log |det df/dy|`` is exact for y; for the integers x it is a bound, which is
    reported with the name of the estimator: ``dequantized`` averages over draws of u, ``importance`` averages k of
    them inside the logarithm, which is tighter.

    A subclass implements :meth:`build_bijection`, and may override :meth:`build_prior`.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        dequantization: Dequantization noise u; uniform if not given.
        num_classes: Number of label classes, each with its own prior; 0 means unconditional. The likelihood is that
            of x, averaged over the classes.
        temperature: Factor of the standard deviations of the prior's Gaussians when sampling; the probabilities of
            classes and components do not change. Part of the protocol of sample scores.
        optimizer: Optimizer of all parameters.

    References:
        Papamakarios et al.: Normalizing Flows for Probabilistic Modeling and Inference, 2021, arXiv:1912.02762,
        equations 1 and 2.
    """

    estimators = ("dequantized", "importance")
    sampling: Tempered

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        *,
        dequantization: Dequantization | None,
        num_classes: int,
        temperature: float,
        optimizer: OptimizerCallable,
    ) -> None:
        super().__init__(shape, num_levels)
        if num_classes < 0:
            raise UserError(f"{type(self).__name__}: num_classes={num_classes} must not be negative")
        self.num_dims = math.prod(self.shape)
        self.num_classes, self.sampling = num_classes, Tempered(temperature)
        self.optimizer = optimizer
        self.drawn = self.clamped_samples = self.clamped_values = 0
        self.dequantizer = (dequantization or UniformDequantization()).build(self.shape, num_levels)
        self.bijection = self.build_bijection()
        self.prior = self.build_prior()

    @abc.abstractmethod
    def build_bijection(self) -> Bijection:
        """Builds the bijection from y ``[B, *shape]`` in [0, 1) to latents ``[B, D]``."""

    def build_prior(self) -> Prior:
        """Builds the density of the latents."""
        return ClassConditional(self.num_dims, self.num_classes) if self.num_classes else StandardNormal(self.num_dims)

    # -------------------------------------------------------------- density

    def log_density(self, y: Tensor, label: Tensor | None = None) -> Tensor:
        """Log p(y), or log p(y | label), of real y ``[B, *shape]`` in [0, 1): nats, ``[B]``."""
        z, log_abs_det_jacobian = self.bijection(y)
        return self.prior.log_prob(z, label) + log_abs_det_jacobian

    def log_weight(self, x: Tensor, eps: Tensor, label: Tensor | None = None) -> Tensor:
        """``log p(x + u) - log q(u | x)`` for the noise u computed from eps: nats, ``[B]``.

        Its mean over eps is a lower bound on log P(x), and so is the logarithm of the mean of its exponential.
        """
        u, log_q = self.dequantizer(x, eps)
        y = dequantize(x, u, self.num_levels)
        return self.log_density(y, label) - self.num_dims * math.log(self.num_levels) - log_q

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        """A bound: ``dequantized`` averages over draws of u, ``importance`` averages inside the logarithm.

        Raises:
            UserError: If the estimator is unknown.
        """
        self.check_estimator(estimator)
        name = self.dequantizer.name
        weights = (self.log_weight(x, self.dequantizer.noise_for(x, noise)) for _ in range(draws))
        if estimator == "importance":
            total = LogMeanExp()
            for weight in weights:
                total.update(weight[None])
            return Likelihood(-total.value, "bound", f"importance-{draws}-{name}")
        mean = sum(weights, torch.zeros(len(x), device=x.device)) / draws
        return Likelihood(-mean, "bound", f"dequantized-{name}")

    # -------------------------------------------------------------- training

    def on_fit_start(self) -> None:
        """Data-dependent initialization on training data, once: all processes use the same batch.

        Raises:
            UserError: If labels that the prior needs are missing, or the Trainer has no data module.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if data is None:
            raise UserError("a flow is initialized from training data: give Trainer.fit a data module, not loaders")
        self.check_labels()
        layers = [m for m in self.modules() if isinstance(m, ActNorm) and not m.initialized]
        batch = next(iter(data.train_dataloader()), None)
        if not layers or batch is None:
            return
        for layer in layers:
            layer.pending = True
        x = batch[0].to(self.device)
        with torch.no_grad():
            self.log_weight(x, self.dequantizer.noise_for(x, Noise(0, batch[2], self.device)))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The negative bound in nats per example, with one draw of the noise."""
        x, label, _ = batch
        eps = self.dequantizer.noise_like(x)
        return -self.log_weight(x, eps, label if self.num_classes else None).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Builds the optimizer of all parameters."""
        return self.optimizer(parameter_groups(self))

    # -------------------------------------------------------------- samples and latents

    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        """The temperature, and whether samples are class-conditional."""
        settings: dict[str, str | int | float | bool] = {"name": "inverse", "temperature": self.sampling.temperature}
        return {**settings, "class_conditional": True} if self.num_classes else settings

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Samples latents from the prior, inverts the bijection, and rounds down to integers."""
        return self.decode(self.prior.sample(noise, label, self.sampling.temperature))

    def decode(self, z: Tensor) -> Tensor:
        """Decodes latents ``[B, D]`` to integers uint8 ``[B, *shape]``: one function evaluation per example."""
        self.count_evaluations(len(z))
        y = self.bijection.inverse(z).float() * self.num_levels
        outside = ~((y >= 0) & (y < self.num_levels)).flatten(1)
        self.drawn += outside.numel() // self.num_dims
        self.clamped_samples += int(outside.any(1).sum())
        self.clamped_values += int(outside.sum())
        return y.floor().clamp(0, self.num_levels - 1).to(torch.uint8)

    @override
    def sample_counts(self) -> dict[str, tuple[int, int]]:
        """Samples, and their values, that the bijection decoded outside [0, 1), and that were set to an end value.

        The score knows this mass, which is not at any integer: the probabilities of all x sum to one less it.
        """
        return {
            "samples_clamped": (self.clamped_samples, self.drawn),
            "sample_values_clamped": (self.clamped_values, self.drawn * self.num_dims),
        }

    def layer_paths(self, noise: Noise) -> Tensor:
        """Latents of samples, what each layer makes of them, and last the y of which :meth:`generate` gives integers.

        All are flat and in the order of the data's dimensions, ``[N, B, D]``: layers that only reorder or reshape
        dimensions are no part of a path. Layers at several scales count as one.
        """
        z = self.prior.sample(noise, None, self.sampling.temperature)
        found = [z]
        layers = list(self.bijection.steps) if isinstance(self.bijection, Chain) else [self.bijection]
        for layer in reversed(layers):
            if isinstance(layer, EvenOdd | Flatten | Reverse):
                found = [layer.inverse(part) for part in found]
            else:
                found.append(layer.inverse(found[-1]))  # type: ignore[operator]
        return torch.stack([part.flatten(1).float() for part in found])

    def from_latent(self, z: Tensor) -> Tensor:
        """Decodes latents ``[B, D]`` to integers uint8 ``[B, *shape]``."""
        return self.decode(z)

    def to_latent(self, x: Tensor, noise: Noise) -> Tensor:
        """Latents ``[B, D]`` of integers x, dequantized with the examples' own noise."""
        u, _ = self.dequantizer(x, self.dequantizer.noise_for(x, noise))
        return self.bijection(dequantize(x, u, self.num_levels))[0]
