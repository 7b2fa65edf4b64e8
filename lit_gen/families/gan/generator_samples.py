"""Samples of a generator, latents of samples, and latents of images."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn
from torch.func import functional_call
from typing_extensions import override

from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.families.gan.generator_sampling import GeneratorSampling, StandingStatistics, has_batch_norm, latents
from lit_gen.families.gan.inversion import inverted
from lit_gen.noise import Noise
from lit_gen.quantization import from_symmetric, to_symmetric


class GeneratorSamples(GenerativeModule):
    """A model whose samples are a network's outputs for normal latents, and for classes if it has them.

    Attributes:
        generator: From latents ``[B, num_latents]``, and classes int64 ``[B]``, to ``[B, *shape]`` in [-1, 1].
        num_latents: Dimensions of the latents.
    """

    sampling: GeneratorSampling
    generator: nn.Module
    num_latents: int

    def use_sampling(self, sampling: GeneratorSampling) -> None:
        """Sets the model's own sampling options.

        Raises:
            UserError: If the generator does not support them.
        """
        self.check_sampling(sampling)
        self.sampling, self._standing = sampling, StandingStatistics()

    def forget_statistics(self) -> None:
        """Takes batch norm's statistics anew for the next samples, after the generator was changed."""
        self._standing.forget()

    @override
    def check_sampling(self, sampling: Any) -> None:
        if sampling.recalibration and not has_batch_norm(self.generator):
            raise UserError(
                f"sampling: recalibration={sampling.recalibration} is for generators with batch norm, and that of"
                f" this {type(self).__name__} has none; give 0"
            )

    @override
    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        settings = super().sampler_settings()
        if self.sampling.truncation is not None:
            settings["truncation"] = self.sampling.truncation
        if self.sampling.recalibration:
            settings["batch_norm_batches"] = self.sampling.recalibration
        return {**settings, "class_conditional": True} if self.num_classes else settings

    def _classes(self, noise: Noise) -> Tensor:
        return (noise.uniform() * self.num_classes).long()

    def sample_latent(self, noise: Noise) -> Tensor:
        """The latents ``[len(noise), num_latents]`` that :meth:`generate` draws."""
        return latents(noise, self.num_latents, self.sampling.truncation)

    def from_latent(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Integers uint8 ``[B, *shape]`` of latents ``[B, num_latents]``, and of classes int64 ``[B]`` if any."""
        self.count_evaluations(len(z))
        return from_symmetric(self._decoded(z, label), self.num_levels)

    def to_latent(self, x: Tensor, noise: Noise) -> Tensor:
        """Latents ``[B, num_latents]`` whose samples are near integers ``[B, *shape]``, found by optimization.

        Raises:
            UserError: If the model has classes, of which an image's is not known.
        """
        if self.num_classes:
            raise UserError(f"{type(self).__name__} has classes, and latents are found without; leave images out")
        return inverted(self._decoded, to_symmetric(x, self.num_levels), noise, self.num_latents)

    def _decoded(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """G(z) in [-1, 1], with the statistics of batch norm that are asked for."""
        if not self.sampling.recalibration:
            return called(self.generator, z, label)

        def draw(noise: Noise) -> tuple[Tensor, ...]:
            z = self.sample_latent(noise)
            return (z, self._classes(noise)) if self.num_classes else (z,)

        statistics = self._standing.of(self.generator, draw, self.sampling, z.device)
        return cast(Tensor, functional_call(self.generator, statistics, (z,) if label is None else (z, label)))


def called(net: nn.Module, x: Tensor, label: Tensor | None) -> Tensor:
    """A network's outputs, given classes if there are any."""
    return cast(Tensor, net(x) if label is None else net(x, label))
