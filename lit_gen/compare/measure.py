"""How long a model's training steps, validations and scores take on this machine."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import lightning as L
import torch

from lit_gen.callbacks.throughput import Throughput
from lit_gen.callbacks.time_needed import TimeNeeded
from lit_gen.cli.command_line import CLI
from lit_gen.cli.process import without_news
from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.runs.run import Run
from lit_gen.stopping.trainers import take_over

SECONDS = 4.0
"""Seconds of training steps that are measured, after the first three."""
_FIRST = 3
_SHOWN = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "use_distributed_sampler")
_MOST_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Measured:
    """Times of a model, in seconds.

    Attributes:
        per_example: Of a training step, for each example.
        validation: Of a validation, without scores of samples.
        scoring: Of the final scores.
        parameters: Number of parameters.
    """

    per_example: float
    validation: float
    scoring: float
    parameters: int

    def training(self, examples: int, validations: int) -> float:
        """Seconds of training with validations, and of scoring."""
        return examples * self.per_example + validations * self.validation + self.scoring

    def examples_within(self, seconds: float, validations: int) -> int:
        """Number of examples that can be trained on, if everything is to end within so many seconds."""
        return int((seconds - validations * self.validation - self.scoring) / self.per_example)


def built(args: list[str], data: DiscreteDataModule | None = None) -> Run:
    """Builds a run that is only measured.

    Args:
        args: Options of ``lit_gen.fit``.
        data: Data that have been read; None to read those of the options.

    Raises:
        UserError: If an option is invalid, or the model cannot be built for such data.
    """
    with without_news():
        run = CLI(args, purpose="evaluate" if data is None else "sample").as_run()
    return run if data is None else dataclasses.replace(run, data=data)


def measured(run: Run) -> Measured:
    """Trains for some steps and times a few samples and likelihoods; the model is not to be used any more.

    Raises:
        UserError: If memory does not suffice.
    """
    clock = Throughput()
    needed = TimeNeeded(run.scoring, clock)
    probe = _Probe(needed)
    options = {name: run.trainer_options[name] for name in ("accelerator", "devices", "precision", "gradient_clip_val")}
    limits: dict[str, Any] = {"max_epochs": -1, "max_steps": 10**9, "limit_val_batches": 0, "num_sanity_val_steps": 0}
    nothing: dict[str, Any] = dict.fromkeys(_SHOWN, False)
    callbacks = [probe, clock, run.quality, run.grid]
    try:
        with without_news():
            trainer = take_over(L.Trainer(**options, **limits, **nothing, callbacks=callbacks))
            trainer.fit(run.model, datamodule=run.data)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise UserError("a batch does not fit into memory") from error
    return Measured(probe.per_example, probe.validation, probe.scoring, sum(p.numel() for p in run.model.parameters()))


class _Probe(L.Callback):
    """Ends training after some seconds, and measures."""

    def __init__(self, needed: TimeNeeded) -> None:
        self.needed = needed
        self.per_example = self.validation = self.scoring = 0.0
        self._begin, self._since, self._steps, self._examples = time.perf_counter(), 0.0, 0, 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the step."""
        now = time.perf_counter()
        self._steps += 1
        if self._steps <= _FIRST and now - self._begin < _MOST_SECONDS / 2:
            self._since = now
            return
        self._since = self._since or self._begin
        self._examples += len(batch[0]) * trainer.world_size
        if now - self._since > SECONDS or now - self._begin > _MOST_SECONDS:
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize()
            self.per_example = (time.perf_counter() - self._since) / self._examples
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Times what is not training."""
        pl_module.eval()
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            self.validation, self.scoring = self.needed.evaluations(trainer, pl_module)
