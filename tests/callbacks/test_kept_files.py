"""The announced size is that of the files, and only what is not wanted is removed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from callbacks.toys import Counter, train
from lit_gen.callbacks import EMA, BestCheckpoint, KeepConfig
from lit_gen.callbacks import kept_files as kept
from lit_gen.callbacks.kept_files import remove_unkept
from lit_gen.errors import UserError
from lit_gen.optim import Muon


class _Big(Counter):
    """A million weights, of which an optimizer keeps some values each."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__()
        self.big = nn.Parameter(torch.zeros(1000, 1000))
        self.optimizer = optimizer

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
        outputs = super().training_step(batch, batch_idx)
        return outputs | {"loss": outputs["loss"] + self.big.sum()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.optimizer is Muon:
            vectors = [p for p in self.parameters() if p.ndim < 2]
            matrices = [p for p in self.parameters() if p.ndim == 2]
            return Muon([{"params": matrices, "hidden": True}, {"params": vectors}])
        return self.optimizer(self.parameters())


OPTIMIZERS = {
    "AdamW": torch.optim.AdamW,
    "AMSGrad": lambda p: torch.optim.AdamW(p, amsgrad=True),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Muon": Muon,
}


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_announced_size_is_that_of_the_file(
    optimizer: str, averaged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[int] = []
    before = kept.state_bytes
    monkeypatch.setattr(kept, "state_bytes", lambda *args: announced.append(before(*args)) or announced[-1])
    ema = EMA(halflife_examples=10 if averaged else None)
    train(
        _Big(OPTIMIZERS[optimizer]), ema, BestCheckpoint(), KeepConfig("{}"), max_steps=2, limit_val_batches=0,
        enable_checkpointing=True, default_root_dir=tmp_path,
    )
    size = (tmp_path / "checkpoints" / "last.ckpt").stat().st_size
    assert announced[0] == pytest.approx(size, abs=20_000)


def test_the_line_counts_the_files_and_warns_of_a_disk_without_room(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(kept, "state_bytes", lambda *args: 5 * 2**20)
    usage = type("Usage", (), {"free": 15 * 2**20})
    monkeypatch.setattr(kept.shutil, "disk_usage", lambda folder: usage)
    with caplog.at_level(logging.INFO):
        train(Counter(), BestCheckpoint(), enable_checkpointing=True, default_root_dir=tmp_path, max_epochs=1)
        assert "checkpoints: about 10.0 MiB on disk (2 of 5.0 MiB), and one more while it is written" in caplog.text
        assert "warning: " not in capsys.readouterr().err, "there is room for both and for the one being written"
        usage.free -= 1
        many = BestCheckpoint(save_top_k=-1, keep="best")
        train(Counter(), many, enable_checkpointing=True, default_root_dir=tmp_path, max_epochs=1)
    assert "and as much again at each validation" in caplog.text
    assert "after scoring, checkpoint.keep=best removes some" in caplog.text
    one = BestCheckpoint()
    train(Counter(), one, enable_checkpointing=True, default_root_dir=tmp_path, max_epochs=1)
    assert f"warning: {tmp_path} has 15.0 MiB of free space, less than" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keep", "scored", "left"),
    [
        ("best+last", "best.ckpt", ["best.ckpt", "interrupted.ckpt", "last.ckpt"]),
        ("best", "best.ckpt", ["best.ckpt"]),
        ("best", "last.ckpt", ["best.ckpt", "last.ckpt"]),
        ("last", "best.ckpt", ["last.ckpt"]),
        ("none", "best.ckpt", []),
    ],
)
def test_what_stays_after_scoring(keep: Any, scored: str, left: list[str], tmp_path: Path) -> None:
    for name in ("best.ckpt", "interrupted.ckpt", "last.ckpt", "notes.txt"):
        (tmp_path / name).write_text("")
    removed = remove_unkept(tmp_path, keep, tmp_path / scored)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*left, "notes.txt"])
    assert len(removed) == 3 - len(left)


def test_an_unknown_choice_is_rejected() -> None:
    with pytest.raises(UserError, match=r"checkpoint\.keep is 'all'; it is one of best\+last, best, last, none"):
        BestCheckpoint(keep="all")  # type: ignore[arg-type]
