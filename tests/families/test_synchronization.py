"""No training step makes the host wait for the device, whatever the family.

Training runs on torch's `meta` device, which has shapes and no values: what needs a value, or copies one between host
and device, is what a GPU has to be waited for, and a dispatch mode finds it without one.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lit_gen.callbacks import EMA, Budget, Curves, SameBuffers, Schedule, StepSeed, Throughput
from lit_gen.contract import GenerativeModule
from lit_gen.families import PixelCNNpp
from lit_gen.families.flow import Flow
from lit_gen.noise import Noise

from .conformance import enrolled, tiny_source

_READ = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal.default", "bincount")


class Meta(Accelerator):
    """Accelerator of the `meta` device."""

    def setup_device(self, device: torch.device) -> None: ...

    def teardown(self) -> None: ...

    @staticmethod
    def parse_devices(devices: Any) -> Any:
        return devices

    @staticmethod
    def get_parallel_devices(devices: Any) -> list[torch.device]:
        return [torch.device("meta")]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return "meta"

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}


class OnMeta(SingleDeviceStrategy):
    """Leaves the model where it is at the end: it has no values to bring back."""

    def __init__(self) -> None:
        super().__init__(device=torch.device("meta"))

    def reduce(self, tensor: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Some value: Lightning asks before training whether a loader is empty."""
        return torch.ones(())

    def teardown(self) -> None: ...


class Waits(TorchDispatchMode):
    """Collects operations for which the host would wait, with the lines of ours that led to them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.waits(str(func), args, kwargs):
            lines = [f"{f.filename}:{f.lineno}" for f in traceback.extract_stack() if "lit_gen" in f.filename]
            self.found.append(f"{func} at {lines[-1] if lines else 'a library'}")
        return func(*args, **kwargs)

    @staticmethod
    def waits(name: str, args: Any, kwargs: Any) -> bool:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        devices = {tensor.device.type for tensor in tensors}
        if "_to_copy" in name:
            target = kwargs.get("device")
            both = target is not None and {*devices, torch.device(target).type} == {"cpu", "meta"}
            return both and ("meta" in devices or not kwargs.get("non_blocking"))
        if "copy_.default" in name:
            return devices == {"cpu", "meta"} and not (len(args) > 2 and args[2])
        if "meta" not in devices:
            return False
        by_mask = "index" in name and any(tensor.dtype == torch.bool for tensor in tensors[1:])
        return by_mask or any(part in name for part in _READ)


class Uploads(TorchFunctionMode):
    """Collects tensors that are made on the device from numbers of the host, which no dispatch mode sees."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = func is torch.Tensor.new_tensor or (
            func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], Tensor)
        )
        if made and result.device.type == "meta":
            lines = [f"{f.filename}:{f.lineno}" for f in traceback.extract_stack() if "lit_gen" in f.filename]
            self.found.append(f"{func} at {lines[-1] if lines else 'a library'}")
        return result


class Watched(L.Callback):
    """Watches training steps from their beginning to their end, with optimizers and other callbacks."""

    def __init__(self) -> None:
        self.waits = Waits()
        self.uploads = Uploads(self.waits.found)

    def on_train_batch_start(self, *args: Any) -> None:
        self.waits.__enter__()
        self.uploads.__enter__()

    def on_train_batch_end(self, *args: Any) -> None:
        self.uploads.__exit__(None, None, None)
        self.waits.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def supported_on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what torch does not know on this device, and the checks before the first step."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    adam = sys.modules[torch.optim.Adam.__module__]
    monkeypatch.setattr(adam, "_device_dtype_check_for_fused", lambda *args, **kwargs: None)
    for family in (Flow, PixelCNNpp):
        monkeypatch.setattr(family, "on_fit_start", lambda self: None)


def found_in(model: GenerativeModule, data: L.LightningDataModule) -> list[str]:
    watched = Watched()
    callbacks = [watched, Budget(10**6), EMA(100.0), Schedule(warmup_examples=100), StepSeed(0), SameBuffers()]
    trainer = L.Trainer(
        accelerator=Meta(), strategy=OnMeta(), logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=1, limit_train_batches=3, limit_val_batches=0, num_sanity_val_steps=0,
        callbacks=[*callbacks, Curves(), Throughput()],
    )
    trainer.log_every_n_steps = 1000  # type: ignore[attr-defined]
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):  # the last row of the curves, at the end
        trainer.fit(model, data)
    assert trainer.fit_loop.epoch_loop.total_batch_idx == 2
    return watched.waits.found


@pytest.mark.parametrize("family", enrolled(), ids=lambda family: family.__name__)
def test_no_training_step_waits(family: type[GenerativeModule]) -> None:
    assert not found_in(*tiny_source(family))


@pytest.mark.parametrize("line", [
    lambda x: torch.tensor(0.5, device=x.device), lambda x: x.new_tensor([1.0]), lambda x: x.cpu(),
    lambda x: x[torch.ones(len(x), dtype=torch.bool, device=x.device)], lambda x: x.float().sum().item(),
    lambda x: torch.arange(3).to(x.device),
])
def test_the_watch_finds_what_waits(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tiny_source(enrolled()[0])
    step = type(model).training_step

    def with_line(self: Any, batch: Any, batch_idx: int) -> Any:
        with contextlib.suppress(NotImplementedError, RuntimeError):  # a value of the meta device was asked for
            line(batch[0])
        return step(self, batch, batch_idx)

    monkeypatch.setattr(type(model), "training_step", with_line)
    assert len(found_in(model, data)) == 3


def test_noise_on_the_device_waits_for_nothing() -> None:
    with Waits() as waits:
        noise = Noise(3, torch.arange(5, device="meta"), device="meta")
        assert noise.normal(3, 4).device.type == noise.uniform(2).device.type == "meta"
    assert not waits.found
