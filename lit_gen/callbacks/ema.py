"""Exponential moving average of weights, used by validation, samples and final scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lit_gen.checkpoints import EMA_STATE
from lit_gen.errors import UserError, nearest


class EMA(L.Callback):
    """Averages the weights and floating-point buffers of named submodules over training.

    The average is in the module from the start of a validation to its end, so that validation steps and all
    callbacks' ``on_validation_epoch_*`` use it in any order of callbacks, and checkpoints, which are written
    after the end of a validation, contain the raw weights as ``state_dict`` and the average here.

    Running statistics of batch norm are averaged like the weights, so that one consistent network is scored.

    Args:
        halflife_examples: Number of training examples after which a weight's contribution to the average has halved;
            None disables the average, and everything uses the raw weights.
        modules: Attribute names of the submodules to average, such as ``[generator]``; the whole module if
            not given.
        every: Steps between updates; an update accounts for all examples since the last one.
        rampup: Largest halflife as a fraction of the examples seen so far, so that the start of training is
            quickly forgotten.

    References:
        Karras et al.: Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        arXiv:2206.00364, appendix F.2 (halflife in images, ramp-up).
    """

    def __init__(
        self,
        halflife_examples: float | None = None,
        modules: Sequence[str] | None = None,
        every: int = 4,
        rampup: float = 0.05,
    ) -> None:
        if halflife_examples is not None and halflife_examples <= 0:
            raise UserError(f"ema.halflife_examples is {halflife_examples}; give a positive number, or null for no EMA")
        if every < 1 or rampup <= 0:
            raise UserError(f"ema: every={every} must be at least 1 and rampup={rampup} positive")
        self.halflife_examples = halflife_examples
        self.modules = list(modules) if modules is not None else None
        self.every = every
        self.rampup = rampup
        self.average: dict[str, Tensor] = {}
        self.examples_seen = 0
        self._pending = 0
        self._swapped = False

    # -------------------------------------------------------------- which tensors

    def averaged(self, pl_module: L.LightningModule) -> dict[str, Tensor]:
        """The averaged tensors of the module, by name.

        Raises:
            UserError: If one of ``modules`` is not a submodule.
        """
        tensors = {**dict(pl_module.named_parameters()), **dict(pl_module.named_buffers())}
        floating = {name: t.detach() for name, t in tensors.items() if t.is_floating_point()}
        if self.modules is None:
            return floating
        children = dict(pl_module.named_children())
        for module in self.modules:
            if module not in children:
                hint = nearest(module, children)
                raise UserError(
                    f"ema.modules: {type(pl_module).__name__} has no submodule '{module}'"
                    f" (it has {', '.join(children)}){hint}"
                )
        prefixes = tuple(f"{module}." for module in self.modules)
        return {name: t for name, t in floating.items() if name.startswith(prefixes)}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts from the current weights, or resumes the checkpoint's average; without a halflife, drops it.

        Not at the start of fit, when weights may still be initialized from data. An average that is no longer updated
        would be validated instead of the weights that are trained.
        """
        if self.halflife_examples is None:
            self.average, self._pending = {}, 0
            return
        live = self.averaged(pl_module)
        self.average = {name: self.average.get(name, t).to(t.device).clone() for name, t in live.items()}

    # -------------------------------------------------------------- averaging

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Updates the average, once in ``every`` steps."""
        if self.halflife_examples is None:
            return
        examples = len(batch[0]) * trainer.world_size
        self.examples_seen += examples
        self._pending += examples
        # Counted in examples, not by batch_idx: the length of an epoch must not shift the updates.
        if self._pending >= self.every * examples:
            halflife = min(self.halflife_examples, self.rampup * self.examples_seen)
            keep = 0.5 ** (self._pending / max(halflife, 1e-8))
            live = self._live_list(pl_module)
            torch._foreach_lerp_(list(self.average.values()), live, 1.0 - keep)
            self._pending = 0

    def _live_list(self, pl_module: L.LightningModule) -> list[Tensor]:
        live = self.averaged(pl_module)
        return [live[name] for name in self.average]

    # -------------------------------------------------------------- use

    @torch.no_grad()
    def _swap(self, pl_module: L.LightningModule) -> None:
        live = self.averaged(pl_module)
        for name, average in self.average.items():
            raw = live[name].clone()
            live[name].copy_(average)
            average.copy_(raw)
        self._swapped = not self._swapped

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Swaps the average in."""
        if self.average and not self._swapped:
            self._swap(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Swaps the raw weights back in."""
        if self._swapped:
            self._swap(pl_module)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Swaps the raw weights back in if a validation is interrupted."""
        if self._swapped:
            self._swap(pl_module)

    def raw_and_average(self, pl_module: L.LightningModule) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The module's state with the raw weights, and the average; during a validation they have changed places."""
        state = pl_module.state_dict()
        if not self._swapped:
            return state, self.average
        return {**state, **self.average}, dict(zip(self.average, self._live_list(pl_module), strict=True))

    @torch.no_grad()
    def copy_to(self, pl_module: L.LightningModule) -> None:
        """Copies the average into the module permanently, for scoring."""
        live = self.averaged(pl_module)
        for name, average in self.average.items():
            live[name].copy_(average)

    @property
    def state_key(self) -> str:
        """Entry of a checkpoint's ``callbacks``."""
        return EMA_STATE

    def state_dict(self) -> dict[str, Any]:
        """The average, its halflife and the counts; tensors and numbers only."""
        if self._swapped:
            raise RuntimeError("a checkpoint was written during validation, while the average is in the module")
        return {
            "average": self.average,
            "halflife_examples": self.halflife_examples,
            "examples_seen": self.examples_seen,
            "pending": self._pending,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the average and the counts from a checkpoint; the halflife stays as configured."""
        self.average = dict(state_dict["average"])
        self.examples_seen = state_dict["examples_seen"]
        self._pending = state_dict["pending"]
