"""``compare`` measures, trains and shows, and goes on where it was stopped."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from lit_gen.cli.process import run_command
from lit_gen.compare import measure, plan, runner
from lit_gen.compare.__main__ import main
from lit_gen.compare.measure import Measured
from lit_gen.records.record import read_record

SMALL = [
    "--config", "configs/data/digits.yaml", "--quality.extractor=null", "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false", "--data.batch_size=50", "--grid.num_samples=4",
]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Runs the commands in this process; returns the list of them."""
    called: list[list[str]] = []

    def call(command: list[str], log: Path, title: str, seconds: float) -> int:
        called.append(command)
        module, *args = command
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        return run_command(importlib.import_module(module).main, args)

    monkeypatch.setattr(runner, "_call", call)
    monkeypatch.setattr(measure, "SECONDS", 0.02)
    monkeypatch.setattr(plan, "START_UP", 0.0)
    monkeypatch.setattr(plan, "MOST_EXAMPLES", 500)
    monkeypatch.setattr(plan, "FEWEST_EXAMPLES", 500)
    return called


def test_times_add_up() -> None:
    times = Measured(per_example=0.01, validation=2.0, scoring=5.0, parameters=1)
    examples = times.examples_within(100.0, 3)
    assert examples == 8900
    assert times.training(examples, 3) == pytest.approx(100.0)


def test_each_family_is_trained_once_and_not_again(here: list[list[str]], tmp_path: Path) -> None:
    out = tmp_path / "cmp"
    args = [*SMALL, "--families", "vae", "--minutes=0.2", "--seeds=2", f"--out={out}"]
    assert run_command(main, args) == 0
    (choice,) = json.loads((out / "plan.json").read_text())["choices"]
    for seed in (0, 1):
        record = read_record(out / f"vae-{seed}" / "record.json")
        assert (record.family, record.seed) == ("vae", seed)
        assert record.cost.examples_seen is not None
        assert choice["examples"] <= record.cost.examples_seen < choice["examples"] + 100
    assert list(out.glob("baselines-digits/record.json"))
    assert (out / "leaderboard.html").is_file()
    assert len(here) == 3
    here.clear()
    (out / "vae-1" / "record.json").unlink()  # as if it had been stopped while it was scored
    assert run_command(main, args) == 0
    assert [command[0] for command in here] == ["lit_gen.evaluate"]


def test_a_failed_run_does_not_stop_the_others(here: list[list[str]], tmp_path: Path) -> None:
    out = tmp_path / "cmp"
    out.mkdir()
    args = [*SMALL, "--families", "vae", "--minutes=0.2", f"--out={out}"]
    made = plan.make_plan([*SMALL], 0.2, 1, ["vae"])
    (good,) = made.choices
    bad = {**vars(good), "family": "flow", "options": (*good.options, "--model.num_latents=0")}
    plan.Plan(**{**vars(made), "choices": (plan.Choice(**bad), good)}).write(out / "plan.json")
    assert run_command(main, args) == 1
    assert (out / "vae-0" / "record.json").is_file()
    assert not (out / "flow-0" / "record.json").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--minutes=0"], "--minutes=0"),
        (["--minutes=nan"], "--minutes=nan"),
        (["--seeds=0"], "--seeds=0"),
        (["--families", "gann"], "gann"),
        (["--model=VAE"], "compare chooses the models"),
        (["--minuts=3"], "unknown option"),
        (["--minutes=1e-6"], "too short"),
    ],
)
def test_wrong_options_are_answered_in_one_line(
    args: list[str], says: str, here: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    families = [] if "--families" in args else ["--families", "vae"]
    assert run_command(main, [*SMALL, *families, f"--out={tmp_path / 'x'}", *args]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1
    assert says in error[0]
    assert not here
    assert not (tmp_path / "x").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").touch()
    assert run_command(main, [*SMALL, f"--out={tmp_path}"]) == 2
    assert "holds no comparison" in capsys.readouterr().err


def test_another_comparison_is_not_mixed_in(
    here: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.make_plan([*SMALL], 0.8, 1, ["vae"]).write(tmp_path / "plan.json")
    assert run_command(main, [*SMALL, "--minutes=0.9", f"--out={tmp_path}"]) == 2
    assert "another comparison" in capsys.readouterr().err
