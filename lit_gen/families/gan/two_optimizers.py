"""Manual optimization of two networks: gradients added over parts of a batch, clipping, and what the Trainer counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.contract import GenerativeModule
from lit_gen.families.gan.updates import Updates


@dataclass
class Part:
    """A part of a batch.

    Attributes:
        x: Real examples ``[B, *shape]`` in [-1, 1].
        label: Their classes, int64 ``[B]``, which their samples have as well; None without classes.
        z: Latents of the samples, ``[B, num_latents]``.
        share: The part's share of the batch's examples.
        x_fake: The samples, if their graph is kept for the generator's update.
    """

    x: Tensor
    label: Tensor | None
    z: Tensor
    share: float
    x_fake: Tensor | None = None


class TwoOptimizers(GenerativeModule):
    """A model with a generator and a discriminator, each with its own optimizer.

    Attributes:
        updates: How often each is updated, and clipping.
        discriminator_steps: Number of discriminator steps taken.
    """

    updates: Updates
    generator: nn.Module
    discriminator: nn.Module
    discriminator_steps: int

    def get_extra_state(self) -> int:
        """Number of discriminator steps taken, which the lazy penalty and the generator's updates depend on."""
        return self.discriminator_steps

    def set_extra_state(self, state: int) -> None:
        """Restores the number of discriminator steps taken."""
        self.discriminator_steps = state

    @property
    def update_period(self) -> int:
        """Batches for each update of the generator."""
        return self.updates.discriminator_steps

    @property
    @override
    def own_options(self) -> dict[str, str]:
        return {
            "gradient_clip_val": "updates.clip_norm",
            "accumulate_grad_batches": "updates.micro_batches, which splits a batch of data.batch_size",
        }

    @override
    def network_of(self, loss: str) -> str | None:
        return "generator" if loss == "loss" else "discriminator"

    def _parts(self, x: Tensor, label: Tensor | None, z: Tensor) -> list[Part]:
        """The batch in ``updates.micro_batches`` parts, or fewer if it has fewer examples."""
        count = min(self.updates.micro_batches, len(x))
        labels = [None] * count if label is None else label.tensor_split(count)
        parts = zip(x.tensor_split(count), labels, z.tensor_split(count), strict=True)
        return [Part(x_part, label_part, z_part, len(x_part) / len(x)) for x_part, label_part, z_part in parts]

    def _update(self, optimizer: LightningOptimizer, losses: Iterable[Tensor]) -> None:
        """One step by the sum of losses, whose graphs are freed one after another."""
        optimizer.zero_grad()
        for loss in losses:
            self.manual_backward(loss)
        if self.updates.clip_norm:
            self._clip(optimizer.optimizer, self.updates.clip_norm)
        optimizer.step()

    def _clip(self, optimizer: torch.optim.Optimizer, clip_norm: float) -> None:
        """Clips the norm of an optimizer's gradients.

        In float16 they are scaled by the scaler's factor until the step, so that the limit is scaled too; gradients
        that are not finite stay so, and the scaler leaves the step out.
        """
        plugin: Any = self.trainer.precision_plugin
        scaler = getattr(plugin, "scaler", None)
        if scaler is None:
            self.configure_gradient_clipping(optimizer, clip_norm, "norm")
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, clip_norm * scaler.get_scale())

    @torch.no_grad()
    def _clip_weights(self) -> None:
        if limit := self.updates.weight_clip:
            parameters: list[Tensor] = list(self.discriminator.parameters())
            torch._foreach_clamp_min_(parameters, -limit)
            torch._foreach_clamp_max_(parameters, limit)
