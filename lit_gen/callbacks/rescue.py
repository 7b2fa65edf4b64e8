"""Saves the last complete step when an unexpected exception ends training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loops.loop import _Loop
from lightning.pytorch.loops.progress import _BaseProgress
from torch import Tensor, nn

from lit_gen.errors import FileError, print_warning


class Rescue(L.Callback):
    """Writes ``interrupted.ckpt`` before an exception of a user's callback or model is raised.

    The file is as of the end of the last step: Lightning's counts and the position in the data are noted after each
    step (6 microseconds, and 40 nanoseconds for each tensor), and restored. If the running step has changed a weight or
    a buffer, that state is lost, and nothing is written. Exceptions about values that are not finite are left out,
    since the state may be at fault, and so are those about a checkpoint that cannot be written.

    It comes after all callbacks that count steps, and before those of the user.

    Attributes:
        checkpoint: Path of the checkpoint written, or None.
    """

    def __init__(self) -> None:
        self.checkpoint: Path | None = None
        self._tensors: list[Tensor] = []
        self._modules: list[nn.Module] = []
        self._counters: list[dict[str, Any]] = []
        self._noted: dict[str, Any] | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lists what belongs to the state."""
        self._noted = None
        self._tensors = [*pl_module.parameters(), *pl_module.buffers()]
        self._modules = [m for m in pl_module.modules() if type(m).get_extra_state is not nn.Module.get_extra_state]
        self._counters = list(_counters(trainer.fit_loop))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes the state, unless gradients are being accumulated, which no checkpoint contains."""
        if trainer.fit_loop._should_accumulate():
            self._noted = None
            return
        self._noted = {
            "counters": [tuple(each.values()) for each in self._counters],
            "stepped": trainer.fit_loop.epoch_loop._batches_that_stepped,
            "loaders": [loader.state_dict() for loader in _loaders(trainer)],
            "extra": [module.get_extra_state() for module in self._modules],
        }
        self._note_versions()

    def _note_versions(self) -> None:
        self._versions: list[int] | None = [tensor._version for tensor in self._tensors]

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Does not look at the weights from here on: the average takes their place."""
        self._versions = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes the weights, which are back."""
        self._note_versions()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Writes the checkpoint, on the first process; other processes may be waiting elsewhere."""
        wanted = isinstance(exception, Exception) and not isinstance(exception, FloatingPointError | FileError)
        if not wanted or self._noted is None or not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if self._versions is not None and self._versions != [tensor._version for tensor in self._tensors]:
            return
        path = Path(trainer.default_root_dir) / "checkpoints" / "interrupted.ckpt"
        try:
            self._restore(trainer, self._noted)
            # Not by `Trainer.save_checkpoint`, which waits for all processes.
            content = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
            trainer.strategy.save_checkpoint(content, path)
        except Exception as error:
            print_warning(f"the last step cannot be saved: {error}")  # and the first exception is raised
            return
        self.checkpoint = path
        print_warning(f"step {trainer.global_step} is saved; to go on: lit-gen fit --resume {trainer.default_root_dir}")

    def _restore(self, trainer: L.Trainer, noted: dict[str, Any]) -> None:
        for counter, values in zip(self._counters, noted["counters"], strict=True):
            counter.update(zip(counter, values, strict=True))
        trainer.fit_loop.epoch_loop._batches_that_stepped = noted["stepped"]
        for loader, state in zip(_loaders(trainer), noted["loaders"], strict=True):
            loader.load_state_dict(state)
        for module, extra in zip(self._modules, noted["extra"], strict=True):
            module.set_extra_state(extra)


def _loaders(trainer: L.Trainer) -> list[Any]:
    combined: Any = trainer.fit_loop._combined_loader
    return [loader for loader in combined.flattened if hasattr(loader, "state_dict")]


def _counters(owner: Any) -> Iterator[dict[str, Any]]:
    """Dictionaries of numbers of all progress trackers of a loop and its inner loops."""
    for value in vars(owner).values():
        if isinstance(value, _Loop):
            yield from _counters(value)
        elif isinstance(value, _BaseProgress):
            inner = list(_counters(value))
            yield from inner
            if not inner:
                yield vars(value)
