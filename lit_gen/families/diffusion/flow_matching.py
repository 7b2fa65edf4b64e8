"""Conditional flow matching along straight lines."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch
from lit_gen.errors import UserError
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.noise_levels import finest_log_snr
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.pairing import IndependentPairing, OptimalTransportPairing, Pairing
from lit_gen.families.diffusion.prediction import Prediction, scales
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.nets import DenoisingNets, MLPDenoiser
from lit_gen.optim import AdamW
from lit_gen.quantization import to_symmetric


class FlowMatching(Diffusion):
    """Straight paths from data to noise, ``y = (1 - t) x + t eps``; the network predicts their velocity ``eps - x``.

    As in the other diffusion models, time runs from the data at 0 to the noise at 1, in reverse to the papers.
    Trained by the squared error of the velocity, a mean over dimensions. The papers report the ODE's likelihood;
    the bound is that of the diffusion whose noise is independent of the data (Kingma, Gao 2023,
    arXiv:2303.00848). With optimal transport pairing the learned process is a different one: the bound is valid but
    loose, and ancestral samples are not the model's own.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Denoising network; a small MLP if not given.
        pairing: Pairing of noise and data in training; independent if not given.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options; by default Euler's method in 100 steps.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Lipman, Chen, Ben-Hamu, Nickel, Le: Flow Matching for Generative Modeling, 2023, arXiv:2210.02747, equations
        22 and 23 with sigma_min = 0.
        Tong et al. 2024, arXiv:2302.00482, section 3.2 (I-CFM and OT-CFM).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        nets: DenoisingNets | None = None,
        pairing: Pairing | None = None,
        labels: Labels = Labels(),
        sampling: Sampling = Sampling("euler", 100, clip_denoised=False),
        ode: OdeSettings = OdeSettings(),
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        net = (nets or MLPDenoiser()).build(shape, shape[0], shape[0], labels.num_classes)
        super().__init__(shape, num_levels, net, labels=labels, sampling=sampling, ode=ode, optimizer=optimizer)
        self.pairing = pairing or IndependentPairing()
        if labels.num_classes and isinstance(self.pairing, OptimalTransportPairing):
            raise UserError(
                "FlowMatching: under optimal transport the noise of a class is no longer normal: samples would start"
                " from the wrong noise; leave out pairing or labels.num_classes"
            )
        # Samples start at pure noise; the likelihood starts close to it, where 0.007 of the data's scale is left.
        self.log_snr_max, self.log_snr_min = finest_log_snr(num_levels), -10.0
        self.check_sampling(sampling)

    @override
    def denoise(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        """Converts z: z / (alpha + sigma) is on the path, at ``t = sigma / (alpha + sigma)``."""
        alpha, sigma = scales(log_snr, z)
        y, t = z / (alpha + sigma), sigma / (alpha + sigma)
        v = self.net(y, 1000 * t.flatten(), label).float()
        return Prediction(y - t * v, y + (1 - t) * v)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The squared error of the velocity, a mean over dimensions."""
        x = to_symmetric(batch[0], self.num_levels)
        eps = self.pairing.pair(x, torch.randn_like(x))
        t = torch.rand(len(x), *[1] * len(self.shape), device=x.device)
        v_hat = self.net(torch.lerp(x, eps, t), 1000 * t.flatten(), self.training_label(batch[1]))
        return F.mse_loss(v_hat, eps - x)

    def log_snr_grid(self, steps: int) -> Tensor:
        """Evenly spaced in t, from pure noise to clean data."""
        t = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        return 2 * (torch.log1p(-t) - t.log())
