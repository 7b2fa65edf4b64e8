"""Rows of the curves are means worked out by hand, and hold on to nothing."""

from __future__ import annotations

import gc
import math
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor

from callbacks.toys import Counter, train
from lit_gen.callbacks import Budget, Curves


class _Rows(DummyLogger):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:  # type: ignore[override]
        if any(name.startswith("train/") for name in metrics):
            self.rows.append((step or 0, dict(metrics)))


def test_rows_are_means_over_their_window() -> None:
    """Before step n the weights are n-1 and 2(n-1), so the loss is -5(n-1)."""
    rows = _Rows()
    train(Counter(), Budget(1000), Curves(), logger=rows, log_every_n_steps=4, limit_val_batches=0)
    expected = [
        (4, {"train/loss": -5 * (0 + 1 + 2 + 3) / 4, "train/twice": -10 * 1.5, "examples_seen": 16.0}),
        (6, {"train/loss": -5 * (4 + 5) / 2, "train/twice": -10 * 4.5, "examples_seen": 24.0}),
    ]
    assert rows.rows == expected


def test_accumulated_steps_log_the_loss_and_not_its_share() -> None:
    """Three batches an epoch in one step: weights 0 and, after one step of mean gradient, 1."""
    rows = _Rows()
    train(
        Counter(), Budget(1000), Curves(), logger=rows, log_every_n_steps=6, limit_val_batches=0,
        accumulate_grad_batches=3,
    )
    (_, row), = rows.rows
    assert row["train/loss"] == pytest.approx(-5 * (0 * 3 + 1 * 3) / 6)
    assert row["train/twice"] == pytest.approx(2 * row["train/loss"])


def test_no_rows_where_none_are_wanted() -> None:
    rows = _Rows()
    train(Counter(), Curves(), logger=rows, log_every_n_steps=0, limit_val_batches=0, max_steps=4)
    assert [step for step, _ in rows.rows] == [4], "the end's one row"


def _graphs() -> list[Tensor]:
    gc.collect()
    return [o for o in gc.get_objects() if type(o) is torch.Tensor and o.grad_fn is not None]


class _Graph(Counter):
    """Counts the graphs of earlier steps that are still held."""

    held = 0

    def on_train_start(self) -> None:
        self.others = _graphs()  # of other tests in this process

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        others = set(map(id, self.others))
        self.held = max(self.held, sum(id(graph) not in others for graph in _graphs()))
        return super().training_step(batch, batch_idx)


def test_no_graph_is_kept() -> None:
    model = _Graph()
    train(model, Curves(), log_every_n_steps=1000, limit_val_batches=0, max_epochs=1)
    assert model.held == 0


class _Breaks(Counter):
    """Some returned value is not finite from the third step on."""

    def __init__(self, name: str, value: float) -> None:
        super().__init__()
        self.broken = {name: value}

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        outputs = super().training_step(batch, batch_idx)
        if self.weight >= 2:
            outputs |= {name: outputs["loss"] * value for name, value in self.broken.items()}
        return outputs


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["loss", "rate"])
def test_a_value_that_is_not_finite_ends_the_run(name: str, value: float) -> None:
    curves = Curves()
    with pytest.raises(FloatingPointError, match=rf"train/{name} is .* after 12 examples") as error:
        train(_Breaks(name, value), Budget(1000), curves, log_every_n_steps=1)
    assert "\n" not in str(error.value)


class _Alternates(Counter):
    """Returns a second value at every second step, as where two networks take turns."""

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        second = {"other": torch.tensor(self.weight)} if self.weight % 2 else {}
        return super().training_step(batch, batch_idx) | second


def test_a_mean_is_over_the_steps_that_have_the_value() -> None:
    rows = _Rows()
    train(_Alternates(), Budget(1000), Curves(), logger=rows, log_every_n_steps=4, limit_val_batches=0, max_steps=4)
    (row,) = [values for _, values in rows.rows]
    assert row["train/other"] == (1 + 3) / 2
    assert row["train/loss"] == (0 - 5 - 10 - 15) / 4


def test_the_open_window_survives_a_checkpoint() -> None:
    before, after = Curves(), Curves()
    train(Counter(), before, log_every_n_steps=1000, limit_val_batches=0, max_steps=2)
    before._sums, before._counts, before._count = {"loss": torch.tensor(-5.0)}, {"loss": 2}, 2
    state: dict[str, Any] = {}
    before.on_save_checkpoint(None, None, state)  # type: ignore[arg-type]
    after.on_load_checkpoint(None, None, state)  # type: ignore[arg-type]
    rows = _Rows()
    train(Counter(), Budget(1000), after, logger=rows, log_every_n_steps=4, limit_val_batches=0, max_steps=2)
    assert rows.rows[0][1]["train/loss"] == (-5.0 + 0 - 5.0) / 4
