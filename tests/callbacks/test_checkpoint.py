"""The kept checkpoint is the best one, and the record can say of how many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from callbacks.toys import Counter, train
from lit_gen.callbacks import BestCheckpoint, Budget, KeepConfig, SampleQuality, Throughput
from lit_gen.callbacks import checkpoint as checkpoints
from lit_gen.checkpoints import load_state, read_checkpoint
from lit_gen.errors import UserError
from lit_gen.likelihood import Likelihood
from lit_gen.metrics import MnistCNN
from lit_gen.noise import Noise

COSTS = [5.0, 2.0, 3.0, 4.0]  # nats at the four validations


class _Scripted(Counter):
    """Its validations cost what the script says."""

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        return Likelihood(torch.full((len(x),), COSTS[self.current_epoch]), "exact", "exact")


class _NoLikelihood(Counter):
    estimators = ()

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Any:
        return None


def run(model: Counter, root: Path, keep: BestCheckpoint) -> dict[str, Any]:
    trainer = train(model, keep, KeepConfig("{}"), max_epochs=4, enable_checkpointing=True, default_root_dir=root)
    return keep.selection(trainer, Path(keep.best_model_path or keep.last_model_path))


def weight(path: Path) -> float:
    return float(read_checkpoint(path)["state_dict"]["net.weight"])


def test_the_best_and_the_last_are_kept(tmp_path: Path) -> None:
    """Three steps an epoch: the second validation, after six, is the cheapest."""
    keep = BestCheckpoint()
    found = run(_Scripted(), tmp_path, keep)
    bits = 1 / (4 * torch.tensor(2.0).log().item())
    assert found == {
        "rule": "best val/bpd of 4",
        "checkpoint": "best.ckpt",
        "step": 6,
        "metric": "val/bpd",
        "value": pytest.approx(2.0 * bits),
        "last_value": pytest.approx(4.0 * bits),
        "candidates": 4,
        "higher_is_better": False,
        "validations": [{"examples_seen": 0, "value": pytest.approx(cost * bits), "seconds": None} for cost in COSTS],
    }
    assert weight(Path(keep.best_model_path)) == 6.0
    assert weight(Path(keep.last_model_path)) == 12.0


def test_a_trial_names_its_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc123")
    assert run(_Scripted(), tmp_path / "a", BestCheckpoint())["sweep"] == "abc123"
    assert run(_NoLikelihood(), tmp_path / "b", BestCheckpoint())["sweep"] == "abc123"


def test_validations_are_counted_and_timed(tmp_path: Path) -> None:
    keep, clock, model = BestCheckpoint(), Throughput(), _Scripted()
    budget = Budget(10**6)
    train(model, budget, clock, keep, KeepConfig("{}"), max_epochs=4, enable_checkpointing=True,
          default_root_dir=tmp_path)
    seen = [validation.examples_seen for validation in keep.validations]
    assert seen == [budget.examples_seen * (i + 1) // 4 for i in range(4)]
    seconds = [validation.seconds or 0.0 for validation in keep.validations]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1] <= clock.train_seconds
    again = BestCheckpoint()
    again.dirpath = str(tmp_path)
    again.load_state_dict(keep.state_dict())
    assert again.validations == keep.validations


def test_largest_where_larger_is_better(tmp_path: Path) -> None:
    assert run(_Scripted(), tmp_path, BestCheckpoint(monitor="val/nats", mode="max"))["step"] == 3


def test_nothing_to_choose_by_leaves_the_last(tmp_path: Path) -> None:
    assert run(_NoLikelihood(), tmp_path, BestCheckpoint()) == {"rule": "last", "checkpoint": "last.ckpt", "step": 12}


def test_unknown_monitor_is_refused_at_the_first_validation(tmp_path: Path) -> None:
    model = _Scripted()
    with pytest.raises(UserError, match=r"checkpoint.monitor: validation logs no 'val/bd'; did you mean 'val/bpd'\?"):
        run(model, tmp_path, BestCheckpoint(monitor="val/bd"))
    assert model.weight == 3.0


def test_end_between_validations_is_written_too(tmp_path: Path) -> None:
    keep = BestCheckpoint()
    train(
        _Scripted(), keep, KeepConfig("{}"), max_steps=5, enable_checkpointing=True, default_root_dir=tmp_path
    )
    assert weight(Path(keep.best_model_path)) == 3.0
    assert weight(Path(keep.last_model_path)) == 5.0


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    keep = BestCheckpoint()
    run(_Scripted(), tmp_path, keep)
    content = read_checkpoint(Path(keep.last_model_path))
    model = Counter()
    load_state(model, content)
    assert model.weight == 12.0
    model.net = torch.nn.Linear(2, 2)
    with pytest.raises(UserError, match=r"do not fit the model .*net") as error:
        load_state(model, content)
    assert "\n" not in str(error.value)


class _Reader(L.Callback):
    """What ``last.ckpt`` holds when the next epoch, or the batch after it, begins."""

    def __init__(self, root: Path, hook: str) -> None:
        self.file = root / "checkpoints" / "last.ckpt"
        self.steps: list[int | None] = []
        setattr(self, hook, self._read)

    def _read(self, *args: Any) -> None:
        self.steps.append(int(read_checkpoint(self.file)["global_step"]) if self.file.exists() else None)


@pytest.mark.parametrize("family", [_Scripted, _NoLikelihood])
def test_every_validation_writes_the_last(family: type[Counter], tmp_path: Path) -> None:
    """Of the four, the second alone is a new best; without anything to choose by none is."""
    reader = _Reader(tmp_path, "on_train_epoch_start")
    keep = BestCheckpoint()
    train(
        family(), keep, KeepConfig("{}"), reader, max_epochs=4, enable_checkpointing=True, default_root_dir=tmp_path
    )
    assert reader.steps == [None, 3, 6, 9]
    assert read_checkpoint(reader.file)["global_step"] == 12


class _Clock:
    """Stands for the module ``time``: a minute passes between two looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 60.0
        return self.now


def test_writes_the_last_when_it_is_old_and_chooses_no_best_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third step of an epoch writes too, and the validation after it is a candidate all the same."""
    monkeypatch.setattr(checkpoints, "time", _Clock())
    keep, reader = BestCheckpoint(every_minutes=1.0), _Reader(tmp_path, "on_train_batch_start")
    trainer = train(
        _Scripted(), keep, KeepConfig("{}"), reader, max_epochs=4, enable_checkpointing=True, default_root_dir=tmp_path
    )
    assert reader.steps == [None, *range(1, 12)]
    found = keep.selection(trainer, Path(keep.best_model_path))
    assert (found["rule"], found["step"]) == ("best val/bpd of 4", 6)


def test_never_writes_in_the_middle_of_an_accumulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three batches the first two make one step, the third, the epoch's last, another."""
    monkeypatch.setattr(checkpoints, "time", _Clock())
    keep, reader = BestCheckpoint(every_minutes=1.0), _Reader(tmp_path, "on_train_batch_start")
    options: dict[str, Any] = {"accumulate_grad_batches": 2, "max_epochs": 1, "limit_val_batches": 0}
    train(
        Counter(), keep, KeepConfig("{}"), reader, enable_checkpointing=True, default_root_dir=tmp_path, **options
    )
    assert reader.steps == [None, None, 1]


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_no_age_is_refused(minutes: float) -> None:
    with pytest.raises(UserError, match=r"checkpoint.every_minutes is .*positive"):
        BestCheckpoint(every_minutes=minutes)


@pytest.mark.parametrize("chosen", [None, "val/fd_mnist_cnn_20"])
def test_a_validation_without_the_score_is_no_candidate(chosen: str | None, tmp_path: Path) -> None:
    """Four validations, two of them scored: nothing is kept under the score of another step."""
    keep = BestCheckpoint(monitor=chosen, save_top_k=-1)
    quality = SampleQuality(MnistCNN(), num_samples=20, every=2)
    trainer = train(
        _NoLikelihood(),
        quality,
        keep,
        KeepConfig("{}"),
        max_epochs=4,
        enable_checkpointing=True,
        default_root_dir=tmp_path,
    )
    assert sorted(Path(name).name for name in keep.best_k_models) == ["best-3.ckpt", "best-9.ckpt"]
    found = keep.selection(trainer, Path(keep.best_model_path))
    assert found["rule"] == "best val/fd_mnist_cnn_20 of 2"
    assert found["last_value"] is None, "the last validation took no score"
    assert read_checkpoint(Path(keep.last_model_path))["global_step"] == 12


def test_a_run_may_begin_with_a_validation_without_the_score(tmp_path: Path) -> None:
    """As a resumed one does whose next validation is not due for a score: Lightning would know no value at all."""
    quality, keep = SampleQuality(MnistCNN(), num_samples=20, every=2), BestCheckpoint()
    quality.load_state_dict({"validations": 1})
    train(
        _NoLikelihood(), quality, keep, KeepConfig("{}"), enable_checkpointing=True, default_root_dir=tmp_path
    )
    assert keep.candidates == 1
    assert weight(Path(keep.best_model_path)) == 6.0


@pytest.mark.parametrize("options", [{}, {"check_val_every_n_epoch": 2}, {"val_check_interval": 2}])
def test_no_checkpoint_is_written_right_before_a_validation(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run resumed from it would leave the validation out; the one after the validation is written instead."""
    monkeypatch.setattr(checkpoints, "time", _Clock())
    written: list[tuple[int, bool]] = []

    class Watched(BestCheckpoint):
        def _save_last_checkpoint(self, trainer: L.Trainer, candidates: Any) -> None:
            written.append((trainer.global_step, bool(trainer.validating)))
            super()._save_last_checkpoint(trainer, candidates)

    train(
        _Scripted(), Watched(every_minutes=1.0), KeepConfig("{}"),
        max_epochs=4, enable_checkpointing=True, default_root_dir=tmp_path, **options,
    )
    every = options.get("check_val_every_n_epoch", 1) * 3
    validated = {2, 5, 8, 11} if "val_check_interval" in options else set(range(every, 13, every))
    assert written[:12] == [(step, step in validated) for step in range(1, 13)]
