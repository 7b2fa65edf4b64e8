"""The score as the gradient of a scalar."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from typing_extensions import override

from lit_gen.nets.diffusion.denoising_mlp import MLPDenoiser
from lit_gen.nets.diffusion.unet import DenoisingNets


class EnergyNet(nn.Module):
    """The gradient of the energy ``||x - net(x)||**2 / 2``, in place of a network's output.

    A field of predicted noise that is a gradient is the score of a density, which a network's own output need not be.
    It costs a backward pass, and training differentiates it again.

    Args:
        net: Network with as many output as input channels.

    References:
        Salimans, Ho: Should EBMs Model the Energy or the Score?, 2021, section 3. Song, Ermon 2019, arXiv:1907.05600,
        section 2.1.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def energy(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """The energy, ``[B]``: minus a log-density of x but for a constant, times the noise's deviation."""
        return 0.5 * (x - self.net(x, time, label).float()).square().flatten(1).sum(1)

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """The gradient of the energy by x, of x's shape; differentiable if gradients are enabled."""
        differentiable = torch.is_grad_enabled()
        # Scoring and sampling disable gradients, or run in inference mode, whose tensors cannot be differentiated.
        # The backward pass of a fused attention cannot be differentiated again.
        with torch.inference_mode(False), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            at = x if x.requires_grad else x.clone().requires_grad_()
            time, label = time.clone(), None if label is None else label.clone()
            (gradient,) = torch.autograd.grad(
                self.energy(at, time, label).sum(), at, create_graph=differentiable
            )
        return gradient


class EnergyNets(DenoisingNets):
    """A network whose output is the gradient of an energy.

    Args:
        nets: The network inside; a small MLP if not given.
    """

    def __init__(self, nets: DenoisingNets | None = None) -> None:
        self.nets = nets or MLPDenoiser()

    @override
    def build(self, shape: tuple[int, ...], in_channels: int, out_channels: int, num_classes: int) -> nn.Module:
        return EnergyNet(self.nets.build(shape, in_channels, out_channels, num_classes))
