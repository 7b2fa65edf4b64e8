"""The time that a run needs is predicted within a minute, and predicting it changes nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import RECIPES, checkpoint, run_fit
from torch import Tensor

from lit_gen.callbacks import Budget, Throughput, TimeNeeded
from lit_gen.callbacks.linear_time import LinearTime, measure
from lit_gen.likelihood import Likelihood
from lit_gen.noise import Noise
from lit_gen.scoring.settings import Scoring

from .toys import Counter, Ramp, train


class Slow(Counter):
    """A model whose operations take known times."""

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        time.sleep(0.02)
        return super().training_step(batch, batch_idx)

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        time.sleep(0.03 * len(x))
        return super().nll(x, noise, estimator, draws)

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        time.sleep(0.1)
        return super().generate(noise, label)


def test_the_line_agrees_with_the_clock(capsys: pytest.CaptureFixture[str]) -> None:
    """110 steps of four examples, five validations of five examples, and scoring of five and five, at known times."""
    clock = Throughput()
    callbacks = Budget(440), TimeNeeded(Scoring(), clock, after=0.2), clock
    train(Slow(), *callbacks, data=Ramp(num_train=88), max_epochs=100)
    line = capsys.readouterr().out
    found = re.search(
        r"this run takes about (\d+) s in all: (\d+) s of training for (\d+) more examples at (\d+)/s,"
        r" (\d+) s of (\d+) validations, (\d+) s of scoring",
        line,
    )
    assert found is not None, line
    total, training, left, rate, validating, number, scoring = (int(number) for number in found.groups())
    assert 440 - 60 <= left < 440
    assert 130 < rate < 200
    assert training == pytest.approx(left / 200, abs=1.1)
    assert number == 5
    assert validating == pytest.approx(5 * 0.15, abs=1)
    assert scoring == pytest.approx(0.3 + 0.1, abs=1)
    assert total == pytest.approx(110 * 0.02 + 0.75 + 0.4, abs=2.5)
    assert line.count("this run takes") == 1


def test_it_may_speak_before_the_first_validation_is_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Lightning counts the batches of a validation when it sets up the first, here after 40 slow steps."""
    clock = Throughput()
    callbacks = Budget(200), TimeNeeded(Scoring(), clock, after=0.2), clock
    train(Slow(), *callbacks, data=Ramp(num_train=20), max_epochs=10, check_val_every_n_epoch=8)
    assert "this run takes about" in capsys.readouterr().out


def test_its_time_is_not_counted_as_training() -> None:
    clock = Throughput()
    train(Slow(), Budget(200), TimeNeeded(Scoring(), clock, after=0.05), clock, data=Ramp(), max_epochs=100)
    assert 50 * 0.02 < clock.train_seconds < 50 * 0.02 + 0.8  # the probes alone take about 1.5 s


@pytest.mark.parametrize("family", sorted(RECIPES))
def test_it_changes_no_weight(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--budget.max_examples=400", "--grid.num_samples=0"]
    options += ["--scoring.num_samples=20", "--quality.num_samples=20"]
    told: list[str] = []
    monkeypatch.setattr("lit_gen.callbacks.time_needed.print_above", lambda trainer, text: told.append(text))
    without = checkpoint(run_fit(family, tmp_path, "without", *options))["state_dict"]
    assert not told
    monkeypatch.setattr(TimeNeeded.__init__, "__defaults__", (0.0,))
    with_it = checkpoint(run_fit(family, tmp_path, "with", *options))["state_dict"]
    assert len(told) == 1
    for name, value in without.items():
        assert torch.equal(value, with_it[name]) if isinstance(value, Tensor) else value == with_it[name]


def test_time_is_linear_in_batches() -> None:
    found = LinearTime(batch_size=10, overhead=1.0, per_example=0.5)
    assert found.seconds(0) == 0
    assert found.seconds(10) == 6.0
    assert found.seconds(25) == 6.0 + 6.0 + 3.5


@pytest.mark.parametrize(("fixed", "each", "sizes"), [
    (1.0, 0.01, [1, 1, 4]),  # a sampler that is recurrent: the second size is enough
    (0.0, 0.001, [1, 1, 4, 16, 64, 250]),
    (0.001, 0.1, [1, 1, 4, 16]),
])
def test_measurements_find_the_line(
    fixed: float, each: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, seen = [0.0], []

    def operation(number: int) -> None:
        seen.append(number)
        now[0] += fixed + each * number

    monkeypatch.setattr("lit_gen.callbacks.linear_time.time.perf_counter", lambda: now[0])
    found = measure(operation, 250)
    assert seen == sizes
    assert (found.overhead, found.per_example) == (pytest.approx(fixed, abs=1e-9), pytest.approx(each))
