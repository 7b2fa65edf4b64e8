"""A line within a minute of training that says how long the run will take."""

from __future__ import annotations

import math
import time
from typing import Any, TypeVar

import lightning as L
import torch
from lightning.pytorch.callbacks import Timer
from torch import Tensor

from lit_gen.callbacks.above_bar import print_above
from lit_gen.callbacks.budget import Budget
from lit_gen.callbacks.linear_time import LinearTime, measure
from lit_gen.callbacks.sample_grid import SampleGrid
from lit_gen.callbacks.sample_quality import SampleQuality
from lit_gen.callbacks.throughput import Throughput
from lit_gen.contract import Batch, Estimation, GenerativeModule
from lit_gen.contract.likelihood_module import LikelihoodModule
from lit_gen.malloc import return_freed_memory
from lit_gen.metrics import FeatureSpace
from lit_gen.scoring.likelihood_scores import scored_parts
from lit_gen.scoring.sample_scores import as_seen
from lit_gen.scoring.settings import Scoring

Kind = TypeVar("Kind")
_BLOCK = 250  # samples that are drawn at a time


class TimeNeeded(L.Callback):
    """Prints once how long training, validations and the final scores will take together.

    After some seconds of training, the first process times samples, their features and likelihoods on a few examples,
    which changes neither the model nor any random number; the clock of training stops meanwhile. What is left of
    training follows from the rate of the steps so far. A run that ends before that prints nothing.

    Args:
        scoring: The options of the final scores.
        clock: The clock of training.
        after: Seconds of training after which the line is printed; before a validation, a quarter of them is enough.
    """

    def __init__(self, scoring: Scoring, clock: Throughput, after: float = 12.0) -> None:
        self.scoring, self.clock, self.after = scoring, clock, after
        self._begin = math.inf
        self._first: tuple[float, int] | None = None  # seconds of training and examples at the end of the first step
        self._validating: float | None = None  # seconds of the latest validation
        self._printed = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock of the run."""
        self._begin = time.perf_counter()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the line before a validation, which may be long, if training has been measured."""
        if not trainer.sanity_checking and self._measured() > self.after / 4:
            self._print_line(trainer, pl_module)
        self._validating = -time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measures the validation."""
        if self._validating is not None and not trainer.sanity_checking:
            self._validating += time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures the rate of the steps, without the first."""
        if self._printed:
            return
        if self._first is None:
            self._first = (self.clock.seconds, _seen(trainer))
        elif time.perf_counter() - self._begin > self.after and self._measured() > self.after / 4:
            self._print_line(trainer, pl_module)

    def _measured(self) -> float:
        """Seconds of training since the first step."""
        return 0.0 if self._first is None else self.clock.seconds - self._first[0]

    def _print_line(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        left = _examples_left(trainer)
        if self._printed or left is None or self._first is None or not isinstance(model, GenerativeModule):
            return
        self._printed = True
        if not trainer.is_global_zero:
            return
        _wait(model)
        rate = (_seen(trainer) - self._first[1]) / self._measured()
        self.clock.pause(trainer)
        was_training = model.training
        model.eval()
        try:
            with torch.inference_mode(), trainer.precision_plugin.forward_context():
                validation, scoring = self.evaluations(trainer, model)
        finally:
            model.train(was_training)
            return_freed_memory()
            self.clock.resume(trainer)
        if self._validating is not None and self._validating > 0:
            validation = self._validating
        number, training = _validations_left(trainer, left), left / rate
        parts = [f"{duration(training)} of training for {left:,} more examples at {rate:,.0f}/s"]
        if number:
            parts.append(f"{duration(number * validation)} of {number} validation{'s' * (number > 1)}")
        parts.append(f"{duration(scoring)} of scoring")
        total = time.perf_counter() - self._begin + training + number * validation + scoring
        print_above(trainer, f"this run takes about {duration(total)} in all: {', '.join(parts)}")

    def evaluations(self, trainer: L.Trainer, model: GenerativeModule) -> tuple[float, float]:
        """Seconds of a validation and of the final scores, on all processes together."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        quality, grid = _callback(trainer, SampleQuality), _callback(trainer, SampleGrid)
        extractor = None if quality is None or quality.extractor is None else quality.extractor.to(model.device)
        drawn: list[Tensor] = []

        def sample(number: int) -> None:
            drawn[:] = [model.sample(number)]
            _wait(model)

        samples = measure(sample, _BLOCK)
        features = None if extractor is None else self._features(model, extractor, drawn[0])
        batch = next(iter(data.val_dataloader()))
        validation = scoring = 0.0
        if model.estimators:
            length = len(data.split("val").x)
            if counts := trainer.num_val_batches:  # empty until the first validation
                length = min(length, int(counts[0]) * data.loader.eval_batch_size)
            validation += _likelihood(model, batch, model.val_estimation).seconds(length)
            times: dict[Estimation, LinearTime] = {}
            for part in scored_parts(data, self.scoring):
                if part.how not in times:
                    times[part.how] = _likelihood(model, batch, part.how)
                rows = data.split(part.split).x if part.rows is None else part.rows
                scoring += times[part.how].seconds(len(rows))
        if quality is not None and features is not None:
            each = quality.num_samples
            if quality.is_on(model.device.type):
                validation += (samples.seconds(each) + features.seconds(each)) / quality.every
            scoring += samples.seconds(self.scoring.num_samples) + features.seconds(2 * self.scoring.num_samples)
        else:
            scoring += samples.seconds(min(_BLOCK, self.scoring.num_samples))
        alone = samples.seconds(grid.count(data)) if grid is not None else 0.0
        world = trainer.world_size
        return validation / world + alone, scoring / world

    @staticmethod
    def _features(model: GenerativeModule, extractor: FeatureSpace, x: Tensor) -> LinearTime:
        seen = as_seen(x, model.num_levels, extractor)

        def compute(number: int) -> None:
            extractor(seen[:number])
            _wait(model)

        return measure(compute, len(seen))


def _likelihood(model: LikelihoodModule, batch: Batch, how: Estimation) -> LinearTime:
    x, label, index = batch

    def compute(number: int) -> None:
        rows = x[:number].to(model.device)
        model.estimate((rows, None if label is None else label[:number].to(model.device), index[:number]), how)
        _wait(model)

    return measure(compute, len(x))


def _wait(model: L.LightningModule) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize()


def _callback(trainer: L.Trainer, kind: type[Kind]) -> Kind | None:
    return next((c for c in trainer.callbacks if isinstance(c, kind)), None)  # type: ignore[attr-defined]


def _seen(trainer: L.Trainer) -> int:
    budget = _callback(trainer, Budget)
    return 0 if budget is None else budget.examples_seen


def _examples_left(trainer: L.Trainer) -> int | None:
    """Examples until the budget or a limit of the Trainer; None where the limit is a time."""
    budget = _callback(trainer, Budget)
    if budget is None or _callback(trainer, Timer) is not None:
        return None
    left = budget.max_examples - budget.examples_seen
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    if trainer.max_epochs is not None and trainer.max_epochs >= 0 and math.isfinite(trainer.num_training_batches):
        batches = trainer.max_epochs * trainer.num_training_batches - trainer.fit_loop.epoch_loop.total_batch_idx - 1
        left = min(left, int(batches) * data.batch_size)
    if trainer.max_steps >= 0:
        done = trainer.global_step / max(1, trainer.fit_loop.epoch_loop.total_batch_idx + 1)
        left = min(left, int((trainer.max_steps - trainer.global_step) / max(done, 1e-9)) * data.batch_size)
    return max(left, 0)


def _validations_left(trainer: L.Trainer, examples: int) -> int:
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    batches, epochs = math.ceil(examples / data.batch_size), trainer.check_val_every_n_epoch
    if not trainer.enable_validation:
        return 0
    period = float(trainer.val_check_batch or math.inf)
    if epochs is not None:
        length = float(trainer.num_training_batches)
        period = min(period, length) if epochs == 1 else length * epochs
    # The last state is validated too.
    return max(1, math.ceil(batches / period)) if math.isfinite(period) and period > 0 else 1


def duration(seconds: float) -> str:
    """Seconds in the unit of their size.

    >>> duration(8.4), duration(95.0), duration(3 * 3600.0), duration(4 * 86400.0)
    ('8 s', '95 s', '3.0 hours', '4.0 days')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} hours" if seconds < 3 * 86400 else f"{seconds / 86400:.1f} days"
