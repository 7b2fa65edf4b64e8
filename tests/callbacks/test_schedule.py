"""Learning rates follow the images seen, for one optimizer and for two, and survive a resume."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from commands import checkpoint, run_fit

from lit_gen.callbacks import Schedule
from lit_gen.errors import UserError


@pytest.mark.parametrize("family", ["vae", "gan"])
def test_rates_at_the_end_of_the_budget(family: str, tmp_path: Path) -> None:
    run = run_fit(family, tmp_path, "run", "--schedule.final=0.1", "--budget.max_images=500")
    groups = [g for state in checkpoint(run)["optimizer_states"] for g in state["param_groups"]]
    assert len(groups) == {"vae": 1, "gan": 2}[family]
    for group in groups:
        assert group["lr"] == pytest.approx(0.1 * group["initial_lr"])


def test_rates_on_the_way(tmp_path: Path) -> None:
    options = ["--model.optimizer.lr=1.0e-3", "--schedule.final=0.0", "--schedule.warmup_images=200"]
    options += ["--budget.max_images=1000"]
    for steps, images in ((2, 100), (4, 200), (13, 650)):
        run = run_fit("vae", tmp_path, f"{steps}", *options, f"--trainer.max_steps={steps}")
        (state,) = checkpoint(run)["optimizer_states"]
        expected = images / 200 if images < 200 else 0.5 * (1 + math.cos(math.pi * images / 1000))
        assert state["param_groups"][0]["lr"] == pytest.approx(1.0e-3 * expected)


def test_no_schedule_leaves_the_rate_alone(tmp_path: Path) -> None:
    run = run_fit("vae", tmp_path, "run", "--model.optimizer.lr=1.0e-3", "--budget.max_images=200")
    (state,) = checkpoint(run)["optimizer_states"]
    assert state["param_groups"][0]["lr"] == 1.0e-3


@pytest.mark.parametrize("bad", [{"final": 1.5}, {"final": -0.1}, {"warmup_images": -1}])
def test_refusals(bad: dict[str, float]) -> None:
    with pytest.raises(UserError, match="schedule"):
        Schedule(**bad)  # type: ignore[arg-type]
