"""What a model says of itself in each validation beside its scores, such as signs of collapse."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from lit_gen.callbacks.above_bar import print_above
from lit_gen.callbacks.curves import examples_seen
from lit_gen.contract import GenerativeModule

_EXAMPLES = 250


class Diagnostics(L.Callback):
    """Logs ``val/<name>`` for each value of the model's ``diagnose``, and prints its warnings.

    The model is given the first 250 examples of the training and of the validation split, always the same. All
    processes compute the same values. A warning is printed if it holds in two validations in a row, since samples are
    alike also before training has begun, or in the last one; and once, until a validation without it.
    """

    def __init__(self) -> None:
        self._previous: set[str] = set()
        self._printed: set[str] = set()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Computes and logs the values."""
        if trainer.sanity_checking or not isinstance(pl_module, GenerativeModule):
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if data is None:
            return
        if type(pl_module).diagnose is GenerativeModule.diagnose:
            return
        examples = [_first(data.split(name), pl_module.device) for name in ("train", "val")]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            found = pl_module.diagnose(examples[0], examples[1])
        if found is None:
            return
        for name, value in found.values.items():
            pl_module.log(f"val/{name}", value, sync_dist=True)
        for kind, text in found.warnings.items():
            lasts = kind in self._previous or trainer.should_stop
            if lasts and kind not in self._printed:
                self._printed.add(kind)
                if trainer.is_global_zero:
                    print_above(trainer, f"warning: {text} at {examples_seen(trainer):,} examples")
        self._previous = set(found.warnings)
        self._printed &= self._previous


def _first(split: Any, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """The first examples of a split, and their labels."""
    x = next(iter(split.x.split(_EXAMPLES)))  # also of data that are streamed
    label = None if split.label is None else split.label[: len(x)].to(device)
    return x.to(device), label
