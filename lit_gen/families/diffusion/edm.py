"""The diffusion model of "Elucidating the Design Space"."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch
from lit_gen.errors import UserError
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.noise_levels import check_log_snrs, finest_log_snr
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.prediction import Prediction, from_x, scales
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.nets import DenoisingNets, MLPDenoiser
from lit_gen.optim import AdamW
from lit_gen.quantization import to_symmetric


@dataclass(frozen=True)
class KarrasGrid:
    """Noise levels of a sampler, denser at low noise.

    Attributes:
        sigma_min: Standard deviation of the last noise level before clean data.
        sigma_max: Standard deviation of the first noise level, at which sampling starts.
        rho: Exponent: larger values put more noise levels at low noise.

    Raises:
        UserError: If the standard deviations are not positive and increasing, or rho is not positive.

    References:
        Karras et al. 2022, arXiv:2206.00364, equation 5.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        """Validates the fields."""
        if not (0 < self.sigma_min < self.sigma_max < math.inf and 0 < self.rho < math.inf):
            raise UserError(
                f"grid: 0 < sigma_min={self.sigma_min} < sigma_max={self.sigma_max} must hold, and rho={self.rho}"
                " must be positive"
            )
        check_log_snrs("grid: its ends", -2 * math.log(self.sigma_min), -2 * math.log(self.sigma_max))

    def sigmas(self, steps: int) -> Tensor:
        """Standard deviations from the largest to the smallest, float64 ``[steps]``."""
        share = torch.linspace(0, 1, steps, dtype=torch.float64)
        first, last = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        return (first + share * (last - first)) ** self.rho


class EDM(Diffusion):
    """Adds noise to unscaled data, ``y = x + sigma n``, and preconditions the network for each sigma.

    Trained at log-normal noise levels, with weights that equalize them at initialization, a mean over dimensions.
    The paper has no likelihood. The bound here is that of continuous time, between ``sigma_max`` and a noise of a
    sixth of the distance between values; the latent at ``sigma_max`` is modelled as normal with the total variance of
    data of variance 1 and noise, which is the variance-preserving scale.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Denoising network; a small MLP if not given.
        p_mean: Mean of log sigma in training.
        p_std: Standard deviation of log sigma in training.
        sigma_data: Standard deviation of the data, on the scale from -1 to 1.
        grid: Noise levels of a sampler.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options; by default the paper's algorithm in 18 steps.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Karras, Aittala, Aila, Laine: Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        arXiv:2206.00364, table 1 and equations 5, 7, 8.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        nets: DenoisingNets | None = None,
        p_mean: float = -1.2,
        p_std: float = 1.2,
        sigma_data: float = 0.5,
        grid: KarrasGrid = KarrasGrid(),
        labels: Labels = Labels(),
        sampling: Sampling = Sampling("edm_heun", 18, clip_denoised=False),
        ode: OdeSettings = OdeSettings(),
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        if not (0 < p_std < math.inf and 0 < sigma_data < math.inf and math.isfinite(p_mean)):
            raise UserError(
                f"EDM: p_std={p_std} and sigma_data={sigma_data} must be positive, and p_mean={p_mean} finite"
            )
        net = (nets or MLPDenoiser()).build(shape, shape[0], shape[0], labels.num_classes)
        super().__init__(shape, num_levels, net, labels=labels, sampling=sampling, ode=ode, optimizer=optimizer)
        self.p_mean, self.p_std, self.sigma_data = p_mean, p_std, sigma_data
        self.grid = grid
        self.log_snr_max, self.log_snr_min = finest_log_snr(num_levels), -2 * math.log(grid.sigma_max)
        self.check_sampling(sampling)

    @override
    def denoise(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        """Converts z: z / alpha is the paper's y, and sigma / alpha its sigma."""
        alpha, sigma = scales(log_snr, z)
        return from_x(z, log_snr, self.preconditioned(z / alpha, sigma / alpha, label))

    def preconditioned(self, y: Tensor, sigma: Tensor, label: Tensor | None) -> Tensor:
        """The denoiser D of equation 7: the mean of the data given y ``[B, *shape]``, with sigma ``[B, 1, ...]``."""
        total = sigma.square() + self.sigma_data**2
        c_skip, c_out = self.sigma_data**2 / total, sigma * self.sigma_data * total.rsqrt()
        c_noise = 0.25 * sigma.flatten().log()
        return c_skip * y + c_out * self.net(total.rsqrt() * y, c_noise, label).float()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted squared error, a mean over dimensions."""
        x = to_symmetric(batch[0], self.num_levels)
        shape = (len(x), *[1] * len(self.shape))
        sigma = torch.exp(self.p_mean + self.p_std * torch.randn(shape, device=x.device))
        x_hat = self.preconditioned(x + sigma * torch.randn_like(x), sigma, self.training_label(batch[1]))
        weight = (sigma.square() + self.sigma_data**2) / (sigma * self.sigma_data).square()
        return (weight * (x_hat - x).square()).mean()

    @override
    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        """Adds the noise levels of the grid."""
        return {**super().sampler_settings(), **asdict(self.grid)}

    def log_snr_grid(self, steps: int) -> Tensor:
        """Equation 5: from ``sigma_max`` to ``sigma_min``, then clean data."""
        sigma = self.grid.sigmas(steps)
        return torch.cat([-2 * sigma.log(), torch.tensor([torch.inf], dtype=torch.float64)])
