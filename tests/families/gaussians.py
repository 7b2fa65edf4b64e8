"""A data set of which everything is known: a Gaussian, and the diffusion model that has learned it perfectly."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lit_gen.families.diffusion import Labels, OdeSettings
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.prediction import Prediction, from_x, scales
from lit_gen.families.diffusion.samplers import alpha_sigma
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.optim import AdamW


class GaussianSource:
    """``x ~ N(mean, covariance)``: the noised data are Gaussian at every level, and so is x given them."""

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self.mean, self.covariance = mean, covariance

    def moments(self, log_snr: float) -> tuple[Tensor, Tensor]:
        """Mean and covariance of z."""
        alpha, sigma = alpha_sigma(log_snr)
        return alpha * self.mean, alpha**2 * self.covariance + sigma**2 * torch.eye(len(self.mean))

    def log_prob(self, z: Tensor, log_snr: float) -> Tensor:
        return torch.distributions.MultivariateNormal(*self.moments(log_snr)).log_prob(z)

    def score(self, z: Tensor, log_snr: float) -> Tensor:
        mean, covariance = self.moments(log_snr)
        return -torch.linalg.solve(covariance, (z - mean).T).T

    def x_hat(self, z: Tensor, log_snr: float) -> Tensor:
        """The mean of x given z."""
        alpha, _ = alpha_sigma(log_snr)
        mean, covariance = self.moments(log_snr)
        return self.mean + alpha * torch.linalg.solve(covariance, (z - mean).T).T @ self.covariance

    def flow(self, z: Tensor, start: float, stop: float) -> Tensor:
        """Where the probability-flow ODE leads from z; all covariances have the same eigenvectors."""
        values, vectors = torch.linalg.eigh(self.covariance)
        (alpha, sigma), (end_alpha, end_sigma) = alpha_sigma(start), alpha_sigma(stop)
        ratio = (end_alpha**2 * values + end_sigma**2) / (alpha**2 * values + sigma**2)
        return end_alpha * self.mean + ((z - alpha * self.mean) @ vectors) * ratio.sqrt() @ vectors.T

    def denoise(self, z: Tensor, log_snr: float) -> Prediction:
        """What a sampler calls."""
        alpha, sigma = alpha_sigma(log_snr)
        x_hat = self.x_hat(z, log_snr)
        return Prediction(x_hat, (z - alpha * x_hat) / sigma)


class PerfectDiffusion(Diffusion):
    """The family's base class around a source's own denoiser: data ``[B, D]`` of 256 levels."""

    def __init__(self, source: GaussianSource, ode_tolerance: float = 1e-4) -> None:
        shape = (len(source.mean),)
        super().__init__(shape, 256, nn.Linear(1, 1), labels=Labels(), ode=OdeSettings(ode_tolerance),
                         sampling=Sampling("ddim", 10, clip_denoised=False), optimizer=AdamW)
        self.source = source
        self.log_snr_max, self.log_snr_min = 12.0, -12.0

    def denoise(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        alpha, sigma = scales(log_snr, z)
        eye = torch.eye(z.shape[1])
        covariance = alpha[..., None] ** 2 * self.source.covariance + sigma[..., None] ** 2 * eye
        solved = torch.linalg.solve(covariance, (z - alpha * self.source.mean)[..., None])[..., 0]
        return from_x(z, log_snr, self.source.mean + alpha * (solved @ self.source.covariance))

    def log_snr_grid(self, steps: int) -> Tensor:
        even = torch.linspace(self.log_snr_min, self.log_snr_max, steps, dtype=torch.float64)
        return torch.cat([even, torch.tensor([math.inf], dtype=torch.float64)])


def correlated(dims: int = 3, seed: int = 0) -> GaussianSource:
    """A source whose dimensions depend on one another."""
    generator = torch.Generator().manual_seed(seed)
    root = 0.25 * torch.randn(dims, dims, generator=generator) + 0.2 * torch.eye(dims)
    return GaussianSource(0.3 * torch.randn(dims, generator=generator), root @ root.T)
