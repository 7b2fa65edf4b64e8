"""The training split may be held by the device: batches are the same, and the host waits for none of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from families.test_synchronization import Waits

from lit_gen.data import Digits, HeldOut, Loader, TextFile
from lit_gen.data.placement import place_of
from lit_gen.data.windows import Windows
from lit_gen.noise import Noise

META = torch.device("meta")


def on(device: str) -> Any:
    """What a data module asks of a Trainer."""
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))


def modules(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "text.txt").write_text("the quick brown fox " * 40)
    return {
        "digits": Digits(batch_size=100),
        "dynamic": Digits(batch_size=100, binarize="dynamic"),
        "text": TextFile(str(tmp_path / "text.txt"), "verse", length=10, splits=HeldOut(num_val=0.1, num_test=0.1)),
    }


@pytest.mark.parametrize("name", ["digits", "dynamic", "text"])
def test_batches_of_a_split_on_the_device_wait_for_nothing(name: str, tmp_path: Path) -> None:
    data = modules(tmp_path)[name]
    x, redraw = data._training(META)
    loader = data.train_loader(shuffle=True)
    loader.x, loader.redraw, loader._rows = x, redraw, x.reshape(len(x), -1)
    loader.label = None if loader.label is None else loader.label.to(META)
    order = loader._permutation(0)
    with Waits() as waits:
        batch = loader._batch(order, 0, 0)
    assert batch.x.device == batch.index.device == META
    assert tuple(batch.x.shape) == (data.batch_size, *data.shape)
    assert batch.label is None or batch.label.device == META
    assert not waits.found


def test_redrawn_batches_belong_to_examples_and_epochs(tmp_path: Path) -> None:
    """An example's version is that of its noise alone, so that any device, order and number of processes makes it."""
    data = modules(tmp_path)["dynamic"]
    _, redraw = data._training(torch.device("cpu"))
    assert redraw is not None
    loader = data.train_loader(shuffle=True)
    epochs = [{int(i): x for batch in loader for x, i in zip(batch.x, batch.index, strict=True)} for _ in range(2)]
    other = data.train_loader(shuffle=False, drop_last=False)
    again = {int(i): x for batch in other for x, i in zip(batch.x, batch.index, strict=True)}
    assert epochs[0].keys() == again.keys()
    assert all(torch.equal(epochs[0][i], again[i]) for i in again)
    same = sum(torch.equal(epochs[0][i], epochs[1][i]) for i in again)
    assert same < 5


def test_windows_moved_and_not_are_the_same() -> None:
    windows = Windows([torch.arange(90, dtype=torch.uint8), torch.arange(100, 155, dtype=torch.uint8)], 7)
    rows = torch.tensor([3, 0, 14])
    moved = windows.to(torch.device("cpu"))
    assert torch.equal(moved.shifted(rows, Noise(0, rows)), windows.shifted(rows, Noise(0, rows)))


def test_a_gpu_holds_splits_up_to_a_tenth_of_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert place_of(100, on("cuda"), "auto") == cuda
    assert place_of(101, on("cuda"), "auto") == cpu
    assert place_of(100, on("cuda"), "host") == cpu
    assert place_of(100, on("cpu"), "auto") == place_of(100, None, "auto") == cpu


def test_batches_from_the_host_are_pinned_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Size] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self.shape) or self)
    data = Digits(batch_size=100, loader=Loader(placement="host"))
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        overfit_batches=0.0, limit_train_batches=1.0, current_epoch=0, global_rank=0, world_size=1, **vars(on("cuda"))
    )
    for loader in (data.train_dataloader(), data.val_dataloader()):
        pinned.clear()
        batch = next(iter(loader))
        assert pinned == [batch.x.shape, batch.label.shape, batch.index.shape]  # type: ignore[union-attr]


