"""Learning rates follow the examples seen, for one optimizer and for two, and survive a resume."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import checkpoint, run_fit

from lit_gen.callbacks import Schedule
from lit_gen.errors import UserError
from lit_gen.optim import Constant, CosineDecay, InverseSquareRoot, LinearDecay


@pytest.mark.parametrize("family", ["vae", "gan"])
def test_rates_at_the_end_of_the_budget(family: str, tmp_path: Path) -> None:
    options = ["--schedule.decay=CosineDecay", "--schedule.decay.final=0.1", "--budget.max_examples=500"]
    run = run_fit(family, tmp_path, "run", *options)
    groups = [g for state in checkpoint(run)["optimizer_states"] for g in state["param_groups"]]
    assert len(groups) == {"vae": 1, "gan": 2}[family]
    for group in groups:
        assert group["lr"] == pytest.approx(0.1 * group["initial_lr"])


def test_rates_on_the_way(tmp_path: Path) -> None:
    options = ["--model.optimizer.lr=1.0e-3", "--schedule.decay=CosineDecay", "--schedule.warmup_examples=200"]
    options += ["--budget.max_examples=1000"]
    for steps, images in ((2, 100), (4, 200), (13, 650)):
        run = run_fit("vae", tmp_path, f"{steps}", *options, f"--trainer.max_steps={steps}")
        (state,) = checkpoint(run)["optimizer_states"]
        expected = images / 200 if images < 200 else 0.5 * (1 + math.cos(math.pi * images / 1000))
        assert state["param_groups"][0]["lr"] == pytest.approx(1.0e-3 * expected)


def test_no_schedule_leaves_the_rate_alone(tmp_path: Path) -> None:
    run = run_fit("vae", tmp_path, "run", "--model.optimizer.lr=1.0e-3", "--budget.max_examples=200")
    (state,) = checkpoint(run)["optimizer_states"]
    assert state["param_groups"][0]["lr"] == 1.0e-3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: CosineDecay(1.5), r"final=1\.5"),
        (lambda: LinearDecay(-0.1), r"final=-0\.1"),
        (lambda: InverseSquareRoot(0), "constant_examples=0"),
        (lambda: Schedule(warmup_examples=-1), "warmup_examples=-1"),
    ],
)
def test_values_that_cannot_be_are_named(wrong: Callable[[], object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        wrong()


def test_decays_at_the_start_on_the_way_and_past_the_end() -> None:
    """Each by its formula; a warm-up comes before it and does not move it."""
    expected = {
        Constant(): (1.0, 1.0, 1.0, 1.0),
        LinearDecay(0.2): (1.0, 0.8, 0.2, 0.2),
        CosineDecay(0.2): (1.0, 0.2 + 0.4 * (1 + math.cos(math.pi / 4)), 0.2, 0.2),
        InverseSquareRoot(10): (1.0, math.sqrt(10 / 25), math.sqrt(10 / 100), math.sqrt(10 / 400)),
    }
    for decay, factors in expected.items():
        found = [Schedule(decay=decay).factor(n, 100) for n in (0, 25, 100, 400)]
        assert found == pytest.approx(factors), type(decay).__name__
        warm = Schedule(warmup_examples=20, decay=decay)
        assert [warm.factor(n, 100) for n in (0, 5, 25)] == pytest.approx([0.0, 0.25, factors[1]])
