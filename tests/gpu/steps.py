"""Training steps of a run: measured inside the Trainer, and in a bare loop around the same module."""

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from lit_gen.runs.run import Run

# Peak arithmetic in FLOP/s without sparsity, from the vendor's data sheets: dense bf16 and fp16; float32 without TF32.
PEAK = {"H100": {"half": 989e12, "float": 67e12}, "H200": {"half": 989e12, "float": 67e12},
        "A100": {"half": 312e12, "float": 19.5e12}}


class Flops(TorchDispatchMode):
    """Counts FLOPs by torch's formulas; torch's own mode tracks modules, and does not know second derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and adds what it costs."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if formula := flop_registry.get(func._overloadpacket):
            self.total += formula(*args, **kwargs, out_val=result)
        return result


class Measured(NamedTuple):
    """What steps gave.

    Attributes:
        losses: Loss of each step.
        images_per_second: Rate after the warm-up.
        peak_mib: Peak memory of the device; None on a CPU.
    """

    losses: list[float]
    images_per_second: float
    peak_mib: float | None


class Stopwatch(L.Callback):
    """Times steps after a warm-up, and ends training.

    Args:
        warm: Number of steps that are not timed.
        steps: Number of timed steps.
        strict: Whether a synchronization with the device inside of a timed step is an error.
    """

    def __init__(self, warm: int, steps: int, strict: bool = False) -> None:
        self.warm, self.steps, self.strict = warm, steps, strict
        self.outputs: list[Tensor] = []
        self.images = 0
        self.seconds = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        """Starts the clock after the warm-up."""
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self.warm:
            wait()
            self._begin = time.perf_counter()
            if self.strict:
                torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_end(self, trainer: L.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Keeps the loss; stops after enough steps."""
        value = outputs.get("loss", outputs.get("discriminator_loss"))
        self.outputs.append(value.detach())
        done = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        self.images += len(batch[0]) if done > self.warm else 0
        if done == self.warm + self.steps:
            if self.strict:
                torch.cuda.set_sync_debug_mode("default")
            wait()
            self.seconds = time.perf_counter() - self._begin
            trainer.should_stop = True


def trained(run: Run, warm: int, steps: int, strict: bool = False) -> Measured:
    """Trains by the run's Trainer with all of its callbacks."""
    watch = Stopwatch(warm, steps, strict)
    run.trainer.callbacks.append(watch)  # type: ignore[attr-defined]
    run.trainer.log_every_n_steps = 50  # type: ignore[attr-defined]
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    try:
        run.trainer.fit(run.model, run.data)
    finally:
        if strict:
            torch.cuda.set_sync_debug_mode("default")
    peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else None
    return Measured([float(loss) for loss in watch.outputs], watch.images / watch.seconds, peak)


def bare(run: Run, device: str, precision: str, warm: int, steps: int) -> Measured:
    """Trains the same module by its own step in a plain loop: no Trainer, callbacks, average or curves."""
    model: Any = run.model.to(device)
    found = model.configure_optimizers()
    optimizers = found if isinstance(found, list) else [found]
    if len(optimizers) > 1:
        model.automatic_optimization = False
    run.data.setup()
    _act_without_trainer(model, optimizers, run)
    model.train()
    model.on_fit_start()  # initialization by data
    loader, batches = run.data.train_loader(shuffle=True), iter(())
    losses, images, begin = [], 0, 0.0
    for step in range(warm + steps):
        if step == warm:
            wait()
            begin = time.perf_counter()
        batch = next(batches, None)  # type: ignore[call-overload]
        if batch is None:
            batches = iter(loader)
            batch = next(batches)
        batch = type(batch)(*(part if part is None else part.to(device, non_blocking=True) for part in batch))
        with _cast(device, precision):
            outputs = model.training_step(batch, step)
        outputs = outputs if isinstance(outputs, dict) else {"loss": outputs}
        if len(optimizers) == 1:
            optimizers[0].zero_grad()
            outputs["loss"].backward()
            optimizers[0].step()
        losses.append(outputs.get("loss", outputs.get("discriminator_loss")).detach())
        images += len(batch.x) if step >= warm else 0
    wait()
    return Measured([float(loss) for loss in losses], images / (time.perf_counter() - begin), None)


def flops_of_step(run: Run, device: str) -> float:
    """FLOPs of one training step for each image, forward and backward, by torch's counter."""
    with Flops() as counter:
        bare(run, device, "32-true", 0, 1)
    return counter.total / run.data.batch_size


def utilisation(flops: float, images_per_second: float, precision: str) -> float | None:
    """Share of the card's peak arithmetic; None for an unknown card or a CPU."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    peak = next((peaks for card, peaks in PEAK.items() if card in name), None)
    return None if peak is None else flops * images_per_second / peak["float" if precision == "32-true" else "half"]


def wait() -> None:
    """Waits for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _cast(device: str, precision: str) -> Any:
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    return contextlib.nullcontext() if dtype is None else torch.autocast(device, dtype)


def _act_without_trainer(model: Any, optimizers: list[Any], run: Run) -> None:
    """Gives a module what its own steps ask of Lightning."""
    plugin = run.trainer.precision_plugin
    model._trainer = SimpleNamespace(datamodule=run.data, world_size=1, global_step=0, precision_plugin=plugin)
    for optimizer in optimizers:
        optimizer.optimizer = optimizer
    stand_ins = {
        "optimizers": lambda: optimizers, "manual_backward": lambda loss: loss.backward(),
        "toggle_optimizer": lambda optimizer: None, "untoggle_optimizer": lambda optimizer: None,
        "count_only_steps_of": lambda optimizer: None,
    }
    for name, function in stand_ins.items():
        if hasattr(type(model), name):
            object.__setattr__(model, name, function)
