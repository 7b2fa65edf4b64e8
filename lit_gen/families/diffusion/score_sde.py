"""Score-based generative models through stochastic differential equations."""

from __future__ import annotations

import contextlib

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch
from lit_gen.contract.compilation import uncompiled
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.noise_levels import finest_log_snr
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.prediction import Prediction, from_eps, scales
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.families.diffusion.score_matching import Denoising, ScoreMatching
from lit_gen.families.diffusion.sde import SDE, VESDE, VPSDE
from lit_gen.families.diffusion.weighting import NoiseWeighting, Weighting
from lit_gen.nets import DenoisingNets, MLPDenoiser
from lit_gen.optim import AdamW
from lit_gen.quantization import to_symmetric


class ScoreSDE(Diffusion):
    """A network learns the score of data noised by an SDE, in continuous time; samples solve the reverse-time SDE.

    The network's output is minus the score times the noise's deviation, eps_hat. Its inputs are in the SDE's own scale.
    The last noise level is modelled as normal with the total variance of data of variance 1 and noise, which for the
    variance-exploding SDE is ``1 + (2 sigma_max)**2`` in place of ``(2 sigma_max)**2``.

    The bound is that of Song et al. 2021b up to the decoder: with their weights of the score, which are
    ``g**2 = -(d log-SNR / dt) deviation**2``, the diffusion term depends on the SDE only through the ends of its
    log-SNRs. It is computed from time 1 to a noise of a sixth of the distance between values, or to the smallest time,
    if its noise is larger.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Denoising network; a small MLP if not given.
        sde: Stochastic differential equation; :class:`VPSDE` if not given.
        objective: Objective at each noise level; denoising score matching if not given.
        weighting: Weights of noise levels in training, and the distribution of times; :class:`NoiseWeighting` if not
            given.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options; by default ancestral steps with one corrector step each, 50 times.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole: Score-Based Generative Modeling through Stochastic
        Differential Equations, 2021, arXiv:2011.13456, equations 7 and 29 to 33.
        Song, Durkan, Murray, Ermon: Maximum Likelihood Training of Score-Based Diffusion Models, 2021,
        arXiv:2101.09258, theorem 3.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        nets: DenoisingNets | None = None,
        sde: SDE | None = None,
        objective: ScoreMatching | None = None,
        weighting: Weighting | None = None,
        labels: Labels = Labels(),
        sampling: Sampling = Sampling("pc_ancestral", 50),
        ode: OdeSettings = OdeSettings(),
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        net = (nets or MLPDenoiser()).build(shape, shape[0], shape[0], labels.num_classes)
        super().__init__(shape, num_levels, net, labels=labels, sampling=sampling, ode=ode, optimizer=optimizer)
        self.sde = sde or VPSDE()
        self.objective, self.weighting = objective or Denoising(), weighting or NoiseWeighting()
        first, self.log_snr_min = self.sde.ends()
        self.log_snr_max = min(first, finest_log_snr(num_levels))
        self.check_sampling(sampling)

    @override
    def denoise(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        """Converts z to the SDE's scale, and the log-SNR to the network's time."""
        return from_eps(z, log_snr, self._noise(z, log_snr, label))

    def _noise(self, z: Tensor, log_snr: Tensor, label: Tensor | None) -> Tensor:
        scale = self.sde.network_scale(log_snr).view(-1, *[1] * (z.ndim - 1))
        return self.net(scale * z, self.sde.network_time(self.sde.time(log_snr)), label).float()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted objective, a mean over dimensions."""
        x = to_symmetric(batch[0], self.num_levels)
        log_snr, weight = self.weighting.draw(self.sde, len(x), x.device)
        label, eps = self.training_label(batch[1]), torch.randn_like(x)
        alpha, sigma = scales(log_snr, x)
        plain = uncompiled(self.net) if self.objective.contains_gradient else contextlib.nullcontext()
        with plain:
            loss = self.objective.loss(lambda z: self._noise(z, log_snr, label), alpha * x + sigma * eps, eps, sigma)
        return (weight * loss).mean()

    @override
    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        """Adds the SDE, in whose time the steps are even."""
        return {**super().sampler_settings(), "sde": type(self.sde).__name__}

    def log_snr_grid(self, steps: int) -> Tensor:
        """Evenly spaced in the SDE's time, to 1/1000 or, where noise does not vanish, to the start; then clean."""
        smallest = self.sde.first if isinstance(self.sde, VESDE) else 1.0e-3
        t = torch.linspace(1, smallest, steps, dtype=torch.float64)
        return torch.cat([self.sde.log_snr(t), torch.tensor([torch.inf], dtype=torch.float64)])
