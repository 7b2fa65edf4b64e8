"""Training steps whose networks are compiled by ``torch.compile``."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor, nn

from lit_gen.contract import GenerativeModule
from lit_gen.contract.compilation import Call, compiled_call, set_compiled_call
from lit_gen.errors import UserError

Backend = Literal["inductor", "aot_eager"]

# Random numbers by PyTorch's own generators: a dropout mask is then that of an uncompiled step.
_OPTIONS: dict[str, dict[str, Any]] = {"inductor": {"options": {"fallback_random": True}}}
# Graphs are counted per module (torch 2.14): the limit of recompilations is otherwise shared by all of a process.
_ISOLATED = "isolate_recompiles"

# In errors of a backward pass whose result is differentiated again.
_DIFFERENTIATED_TWICE = ("does not currently support double backward", "compiled with non-empty donated buffers")


class Compile(L.Callback):
    """Compiles the model's networks for the forward and backward passes of training steps only.

    Validation, samples and final scores run the same weights uncompiled. A score therefore does not depend on this
    option, other than through weights that were trained with other rounding errors. Modules stay in place, so that
    the names in a checkpoint are those of an uncompiled run, and either kind of run continues the other's.

    Graphs are for fixed shapes, which are faster than graphs for any shape: one for a full batch, and one for the last
    batch of an epoch if it is smaller. They do not depend on the order of batches, and so a resumed run
    computes with the same graphs as an uninterrupted one. Networks are compiled in the first training step, after
    they were initialized from data.

    Args:
        backend: ``inductor`` generates code; it needs a C++ compiler, or Triton on a GPU. ``aot_eager`` runs the same
            graph by PyTorch's own operators, to find out which of the two causes an error.
    """

    def __init__(self, backend: Backend = "inductor") -> None:
        self.backend = backend
        self._calls: dict[nn.Module, Call | None] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Validates that the backend works on the Trainer's device, before a step is taken.

        Raises:
            UserError: If it does not.
        """
        if stage == "fit":
            check_backend(self.backend, trainer.strategy.root_device)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compiles the networks; the first call of each then takes seconds to minutes."""
        assert isinstance(pl_module, GenerativeModule)
        self._calls = {module: self._compiled(module) for module in pl_module.compiled_modules()}
        self._use(False)
        names = {module: name for name, module in pl_module.named_modules()}
        listed = ", ".join(names[module] for module in self._calls)
        rank_zero_info(f"compiling {listed} ({self.backend}): the first step of each batch size takes longer")

    def _compiled(self, module: nn.Module) -> Call | None:
        isolated = {_ISOLATED: True} if _ISOLATED in inspect.signature(torch.compile).parameters else {}
        module.compile(backend=self.backend, dynamic=False, **_OPTIONS.get(self.backend, {}), **isolated)
        return compiled_call(module)

    def _use(self, compiled: bool) -> None:
        for module, call in self._calls.items():
            set_compiled_call(module, call if compiled else None)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Uses the compiled networks in this training step."""
        self._use(True)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Uses the uncompiled networks after it: in validations, and for samples."""
        self._use(False)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Uses the uncompiled networks if a step is interrupted."""
        self._use(False)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Frees the graphs."""
        self._use(False)
        self._calls = {}


def check_backend(backend: Backend, device: torch.device) -> None:
    """Validates that ``torch.compile`` works on a device, by compiling an addition.

    Raises:
        UserError: If it does not, as without a C++ compiler.
    """
    try:
        torch.compile(_add_one, backend=backend, dynamic=False)(torch.zeros(2, device=device))
    except Exception as error:  # of many classes, by backend and version
        raise CompileError(f"torch.compile with {backend} does not work on {device}", _reason(error)) from error


def _add_one(x: Tensor) -> Tensor:
    return x + 1


class CompileError(UserError):
    """The backend does not work, or a network cannot be compiled.

    Args:
        what: What failed.
        reason: Why.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"compile: {what}: {reason.rstrip('.')}; correct what it names, or leave out compile")


def compile_error(error: RuntimeError) -> CompileError | None:
    """The one-line error for an exception of ``torch.compile`` in a training step; None for any other exception."""
    what = "a network of the model cannot be compiled"
    if any(text in str(error) for text in _DIFFERENTIATED_TWICE):
        return CompileError(what, "the loss contains a gradient, and a compiled graph can be differentiated only once")
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return CompileError(what, _reason(error))
    return None


def _reason(error: BaseException) -> str:
    """The first line of the error that the compiler's own errors are raised from."""
    while isinstance(inner := getattr(error, "inner_exception", None) or error.__cause__, Exception):
        error = inner
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
