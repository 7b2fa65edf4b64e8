"""null is rejected for arguments that do not take it, before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import RECIPES
from conftest import REPO

from lit_gen import fit
from lit_gen.cli.process import run_command

FLOW = REPO / "configs/recipes/digits/flow.yaml"


@pytest.mark.parametrize(("recipe", "option", "kind"), [
    (FLOW, "model.alpha", "float"),
    (RECIPES["vae"], "model.num_latents", "int"),
    (RECIPES["vae"], "data.batch_size", "int"),
    (RECIPES["vae"], "data.loader.seed", "int"),
    (RECIPES["gan"], "model.penalty.weight", "float"),
    (RECIPES["vae"], "model.optimizer.lr", "float"),
])
def test_null_is_answered_in_one_line(
    recipe: Path, option: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [f"--config={recipe}", f"--{option}=null", f"--trainer.default_root_dir={tmp_path}"]
    assert run_command(fit.main, args) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"error: {option}")
    assert kind in line or "'None' is not" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["data.binarize", "model.observation"])
def test_null_is_taken_where_it_means_something(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [f"--config={RECIPES['vae']}", f"--{option}=null", "--budget.max_examples=50"]
    args += [f"--trainer.default_root_dir={tmp_path}", "--trainer.fast_dev_run=true"]
    assert run_command(fit.main, args) in (0, None), capsys.readouterr().err
