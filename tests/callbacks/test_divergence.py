"""NaN is reported with its name, its step and the last good checkpoint, and never reaches a file."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from callbacks.toys import Counter, train
from lit_gen.callbacks import EMA, BestCheckpoint, Budget, Curves, Interrupt, KeepConfig
from lit_gen.checkpoints import not_finite, read_checkpoint, weights_not_finite
from lit_gen.likelihood import Likelihood
from lit_gen.noise import Noise


class _Spoils(L.Callback):
    """Spoils a tensor of the model, or of the average, after a step."""

    def __init__(self, step: int, value: float = math.nan, average: EMA | None = None) -> None:
        self.step, self.value, self.average = step, value, average

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        if trainer.global_step == self.step:
            target = self.average.average["net.weight"] if self.average else pl_module.net.weight.data
            target.fill_(self.value)


def run(root: Path, *callbacks: L.Callback, model: Counter | None = None, **options: Any) -> BestCheckpoint:
    """Four epochs of three steps, with a validation after each."""
    keep = BestCheckpoint(every_minutes=None)
    settings: dict[str, Any] = {"enable_checkpointing": True, "default_root_dir": root, "max_epochs": 4, **options}
    train(model or Counter(), *callbacks, keep, KeepConfig("{}"), **settings)
    return keep


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("averaged", [False, True])
def test_weights_that_are_not_finite_reach_no_file(value: float, averaged: bool, tmp_path: Path) -> None:
    """Spoiled after the fifth step, in the second epoch: both files keep the third step's."""
    ema = EMA(halflife_examples=4, every=100)
    name = "the average of net.weight" if averaged else "net.weight"
    last = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(FloatingPointError, match=rf"in step 6 \({name}\); the last good .* is {last};") as error:
        run(tmp_path, ema, _Spoils(5, value, ema if averaged else None))
    assert "\n" not in str(error.value)
    for file in ("last", "best"):
        content = read_checkpoint(tmp_path / "checkpoints" / f"{file}.ckpt")
        assert content["global_step"] == 3
        assert weights_not_finite(content) == []


class _Signals(L.Callback):
    """Sends a signal to this process during the first step."""

    def on_train_batch_start(self, *_: Any) -> None:
        signal.raise_signal(signal.SIGUSR1)


def test_a_stop_writes_no_weights_that_are_not_finite(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"in step 1 \(net\.weight\); no checkpoint was written before"):
        run(tmp_path, _Spoils(1), _Signals(), Interrupt())
    assert not list(tmp_path.rglob("*.ckpt"))


class _LossIsNan(Counter):
    """Its loss is NaN in the fifth step alone; its weights stay finite."""

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        outputs = super().training_step(batch, batch_idx)
        return outputs | {"other": outputs["loss"] * (math.nan if self.weight == 4 else 1)}


def test_the_first_step_with_nan_is_named_and_no_later_checkpoint_is_written(tmp_path: Path) -> None:
    """The row would be written after ten steps; the checkpoint after the sixth comes first."""
    with pytest.raises(FloatingPointError, match=r"train/other is nan after 24 examples, first in step 5; the last"):
        run(tmp_path, Budget(1000), Curves(), model=_LossIsNan(), log_every_n_steps=10)
    assert read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 3


def test_the_message_names_the_weights_that_are_nan_by_then() -> None:
    with pytest.raises(FloatingPointError, match=r"first in step 3, and so are the weights now \(net\.weight\); no ch"):
        train(Counter(), Budget(1000), _Spoils(2), Curves(), log_every_n_steps=4, limit_val_batches=0)


class _Scripted(Counter):
    """Its validations cost what the script says."""

    def __init__(self, costs: list[float]) -> None:
        super().__init__()
        self.costs = costs

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        return Likelihood(torch.full((len(x),), self.costs[self.current_epoch]), "exact", "exact")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_never_the_best(bad: float, tmp_path: Path) -> None:
    keep = run(tmp_path, model=_Scripted([bad, 3.0, bad, 4.0]))
    assert read_checkpoint(Path(keep.best_model_path))["global_step"] == 6
    assert keep.candidates == 2
    assert read_checkpoint(Path(keep.last_model_path))["global_step"] == 12


def test_without_any_finite_score_the_last_is_selected(tmp_path: Path) -> None:
    keep = run(tmp_path, model=_Scripted([math.nan] * 4))
    assert not keep.best_model_path
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()
    assert read_checkpoint(Path(keep.last_model_path))["global_step"] == 12


def test_every_kind_of_tensor_is_looked_at() -> None:
    """Large finite values, integers and empty tensors are no fault, in any floating-point type."""
    half = torch.ones(3, dtype=torch.bfloat16)
    good = {"big": torch.full((1000,), 3e38), "count": torch.tensor(3), "empty": torch.zeros(0), "half": half, "n": 1}
    assert not_finite(good) == []
    assert not_finite({**good, "a": torch.tensor([1.0, math.nan]), "b": half * math.inf}) == ["a", "b"]
    assert not_finite({}) == []
