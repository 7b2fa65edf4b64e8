"""Every sweep in ``sweeps/``: sound as a file, its names valid, and its runs good, started as an agent starts them."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPO
from offline_runs import read_offline_run

from lit_gen import fit
from lit_gen.cli.command_line import CLI
from lit_gen.errors import UserError
from lit_gen.records.record import read_record

SWEEPS = sorted((REPO / "sweeps").glob("*.yaml"))
VAE = REPO / "sweeps" / "vae.yaml"
CHECK_AGENT = REPO.parent / "shared" / "tools" / "wandb_loopback" / "check_agent.py"
KINDS = ({"value"}, {"values"}, {"distribution", "min", "max"})

each_sweep = pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an agent is to be started: paths in the commands are relative to it."""
    monkeypatch.chdir(REPO)


def read(path: Path) -> dict[str, Any]:
    sweep = yaml.safe_load(path.read_text())
    assert isinstance(sweep, dict)
    return sweep


def corners(parameter: dict[str, Any]) -> list[Any]:
    """All that a parameter may be: its values, or the ends of its range."""
    if "value" in parameter:
        return [parameter["value"]]
    return parameter["values"] if "values" in parameter else [parameter["min"], parameter["max"]]


def draw(parameters: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A configuration, as the server draws it: a float without a fraction arrives as a whole number."""
    drawn = {}
    for name, parameter in parameters.items():
        ends = corners(parameter)
        value = rng.choice(ends)
        if parameter.get("distribution") == "uniform":
            value = rng.uniform(*ends)
        elif parameter.get("distribution") == "log_uniform_values":
            value = math.exp(rng.uniform(math.log(ends[0]), math.log(ends[1])))
        drawn[name] = int(value) if isinstance(value, float) and value.is_integer() else value
    return drawn


def command(sweep: dict[str, Any], arguments: Path) -> list[str]:
    """The sweep's command with its macros filled in; the agent fills in whole items only."""
    macros = {"${env}": "/usr/bin/env", "${interpreter}": "python", "${args_json_file}": str(arguments)}
    filled = [macros.get(item, item) for item in sweep["command"]]
    assert not [item for item in filled if "${" in item]
    return filled


def test_every_family_has_its_sweep() -> None:
    families = {
        path.name for path in (REPO / "lit_gen/families").iterdir() if (path / "__init__.py").is_file()
    }
    assert {path.stem for path in SWEEPS} == families


@each_sweep
def test_the_file_is_sound(path: Path) -> None:
    sweep = read(path)
    assert set(sweep) == {"program", "command", "method", "run_cap", "metric", "parameters"}
    assert sweep["metric"]["goal"] == "minimize"
    assert sweep["metric"]["name"].startswith("val/"), "the test split is no place to choose by"
    assert sweep["method"] in ("bayes", "random")
    assert 0 < sweep["run_cap"] <= 100
    assert (REPO / sweep["program"]).is_file()
    assert sweep["command"][-2:] == ["--config", "${args_json_file}"], "other macros lose null, or false"
    assert sweep["parameters"]["scoring.split"] == {"value": "val"}
    assert "budget.max_examples" in sweep["parameters"], "steps mean another thing for each family"
    for name, parameter in sweep["parameters"].items():
        assert set(parameter) in KINDS, name
        for value in corners(parameter):
            assert not isinstance(value, str) or not value[0].isdigit(), f"{name}: {value} is text to YAML"
        if "min" in parameter:
            assert 0 <= parameter["min"] < parameter["max"], name
            wide = parameter["min"] > 0 and parameter["max"] / parameter["min"] >= 10
            assert (parameter["distribution"] == "log_uniform_values") == wide, name


@each_sweep
def test_its_names_are_options_of_fit(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = read(path)
    options = command(sweep, tmp_path / "arguments.json")[4:]
    for turn in range(max(len(corners(p)) for p in sweep["parameters"].values())):
        wanted = {name: corners(p)[turn % len(corners(p))] for name, p in sweep["parameters"].items()}
        (tmp_path / "arguments.json").write_text(json.dumps(wanted))
        with pytest.raises(SystemExit, match="0"):
            CLI([*options, "--print_config"])
        resolved = yaml.safe_load(capsys.readouterr().out)
        for name, value in wanted.items():
            found = resolved
            for key in name.split("."):
                found = found[key]
            assert found == value, name


def test_a_wrong_name_is_refused(tmp_path: Path) -> None:
    sweep = read(VAE)
    (tmp_path / "arguments.json").write_text(json.dumps({"model.init_args.num_latent": 4}))
    with pytest.raises(UserError, match="num_latents"):
        CLI([*command(sweep, tmp_path / "arguments.json")[4:], "--print_config"])


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=p.stem, marks=[] if p.stem in ("vae", "gan") else pytest.mark.slow) for p in SWEEPS],
)
def test_two_runs_at_once_finish_with_finite_scores(path: Path, tmp_path: Path) -> None:
    """One as an agent starts it, and one in this process meanwhile, which spares it the imports."""
    sweep = read(path)
    rng = random.Random(0)
    fixed = {"budget.max_examples": 400, "scoring.num_samples": 40, "grid.num_samples": 4}
    fixed["trainer.enable_progress_bar"] = False
    if sweep["metric"]["name"] == "val/bpd":  # a distance bears its number of samples in its name
        fixed["quality.num_samples"] = 40
    fixed |= {"trainer.default_root_dir": str(tmp_path / "runs"), "wandb.mode": "offline"}
    for name in ("first", "second"):
        (tmp_path / f"{name}.json").write_text(json.dumps({**draw(sweep["parameters"], rng), **fixed}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with (tmp_path / "log").open("w") as log:
        first = subprocess.Popen(
            command(sweep, tmp_path / "first.json"), cwd=REPO, env=environment, stdout=log, stderr=log
        )
    fit.main(command(sweep, tmp_path / "second.json")[4:])
    assert first.wait(timeout=300) == 0, (tmp_path / "log").read_text()

    folders = [record.parent for record in (tmp_path / "runs").glob("*/record.json")]
    assert len(folders) == 2, "each run has a folder of its own"
    name = sweep["metric"]["name"]
    for folder in folders:
        values = read_offline_run(folder).column(name)
        assert values
        assert all(math.isfinite(value) for value in values)
        selection = read_record(folder / "record.json").selection
        assert selection.metric == name, "the checkpoint is chosen by what the sweep is"
        assert selection.value == pytest.approx(min(values))


@pytest.mark.slow
@each_sweep
def test_a_real_agent_runs_it(path: Path, tmp_path: Path) -> None:
    if not CHECK_AGENT.is_file():
        pytest.skip(f"needs the stand-in server beside {CHECK_AGENT}")
    checks = [
        "--project",
        str(REPO),
        "--python",
        sys.executable,
        "--sweep",
        str(path),
        "--count",
        "2",
        "--strict",
    ]
    small = {"budget.max_examples": 1000, "trainer.default_root_dir": str(tmp_path / "runs")}
    fixed = [f"--param={name}={value}" for name, value in small.items()]
    more = ["--timeout", "600", "--out", str(tmp_path / "out")]
    found = subprocess.run(
        [sys.executable, str(CHECK_AGENT), *checks, *fixed, *more], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout
    name = read(path)["metric"]["name"]
    for run in json.loads(found.stdout)["runs"]:
        assert math.isfinite(run["summary"][name])
        assert "examples_seen" in run["history_keys"]
