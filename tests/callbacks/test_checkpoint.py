"""The kept checkpoint is the best one, and the record can say of how many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from callbacks.toys import Counter, train
from lit_gen.callbacks import BestCheckpoint, KeepConfig
from lit_gen.callbacks.checkpoint import load_state, read_checkpoint
from lit_gen.errors import UserError
from lit_gen.likelihood import Likelihood
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
    }
    assert weight(Path(keep.best_model_path)) == 6.0
    assert weight(Path(keep.last_model_path)) == 12.0


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
