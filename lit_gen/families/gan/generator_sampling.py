"""How a generator is sampled: truncated latents, and batch norm's statistics."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lit_gen.contract import SamplingOptions
from lit_gen.errors import UserError
from lit_gen.noise import Noise

_SEED = 0x57A75  # separates the latents of the statistics from those of samples
_BLOCK = 250


@dataclass(frozen=True)
class GeneratorSampling(SamplingOptions):
    """How samples are drawn from a generator.

    Attributes:
        truncation: Largest absolute value of a latent, which is drawn again until it is below; None for no limit.
            Smaller values trade diversity for quality (Brock et al. 2019, arXiv:1809.11096, section 3.1).
        recalibration: Number of batches of 250 samples over which batch norm's statistics are taken anew for the
            weights that are sampled, which are averaged weights in most runs; 0 for the running statistics of
            training. Called standing statistics in Brock et al. 2019, appendix A.

    Raises:
        UserError: If the truncation is not positive, or the number of batches negative.
    """

    truncation: float | None = None
    recalibration: int = 0

    def __post_init__(self) -> None:
        """Validates the fields."""
        if self.truncation is not None and not 0 < self.truncation < math.inf:
            raise UserError(f"sampling: truncation={self.truncation} must be positive, or null for none")
        if self.recalibration < 0:
            raise UserError(f"sampling: recalibration={self.recalibration} must be at least 0 batches")


def latents(noise: Noise, num_latents: int, truncation: float | None) -> Tensor:
    """Standard normal latents ``[len(noise), num_latents]``, each within ``truncation`` of zero.

    A truncated normal number, which is what drawing again gives, is the quantile of a uniform number between the
    probabilities of the two ends.
    """
    if truncation is None:
        return noise.normal(num_latents)
    low = 0.5 * math.erfc(truncation / math.sqrt(2))
    u = noise.uniform(num_latents).cpu().double() + 2.0**-25  # fractions of 2**-24, moved to the middle of their cells
    return torch.special.ndtri(low + (1 - 2 * low) * u).float().to(noise.device)


Draw = Callable[[Noise], tuple[Tensor, ...]]
"""The generator's inputs, drawn from the rows of noise."""


def has_batch_norm(net: nn.Module) -> bool:
    """Whether a network contains batch norm with running statistics."""
    return any(isinstance(module, _BatchNorm) and module.track_running_stats for module in net.modules())


class StandingStatistics:
    """Batch norm's statistics over fixed samples, computed once for given weights. The network stays as it is."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._found: dict[str, Tensor] = {}

    def forget(self) -> None:
        """Takes them anew at the next call: fused optimizers change weights without counting versions."""
        self._key, self._found = (), {}

    @torch.no_grad()
    def of(
        self, generator: nn.Module, draw: Draw, options: GeneratorSampling, device: torch.device
    ) -> dict[str, Tensor]:
        """The statistics by the names of the generator's buffers.

        Args:
            generator: A network with batch norm.
            draw: Draws its inputs.
            options: The options; ``recalibration`` batches are drawn.
            device: Device of the generator.
        """
        tensors = [*generator.parameters(), *generator.buffers()]
        # Averaged and raw weights change places in the same tensors, whose versions count changes.
        key = (options, torch.is_autocast_enabled(device.type), *((id(t), t._version) for t in tensors))
        if key != self._key:
            self._found = _statistics(generator, draw, options.recalibration, device)
            self._key = key
        return self._found


def _statistics(generator: nn.Module, draw: Draw, batches: int, device: torch.device) -> dict[str, Tensor]:
    net = copy.deepcopy(generator).train()
    norms = {name: module for name, module in net.named_modules() if isinstance(module, _BatchNorm)}
    for norm in norms.values():
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    for first in range(0, batches * _BLOCK, _BLOCK):
        net(*draw(Noise(_SEED, range(first, first + _BLOCK), device)))
    names = ("running_mean", "running_var")
    return {f"{name}.{kind}".lstrip("."): getattr(norm, kind) for name, norm in norms.items() for kind in names}
