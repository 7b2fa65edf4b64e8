"""Whole runs of diffusion models whose training has a memory: a learned schedule, terms of each timestep."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import SMALL, assert_same, checkpoint, run_module, the_record
from conftest import REPO
from test_ddp import TWO, environment
from test_resume import assert_same_end

from lit_gen import fit

# Four timesteps: each is known ten times over within a few batches, and draws then depend on what was remembered.
FOUR = "init_args: {num_timesteps: 4, beta_first: 0.3, beta_last: 0.95}"
MODELS = {
    "VDM": ["--model.schedule=Monotone", "--model.schedule.width=8"],
    "ImprovedDDPMVLB": [f"--model.schedule={{class_path: lit_gen.families.diffusion.LinearBetas, {FOUR}}}"],
}


def options(model: str, root: Path, name: str, *more: str) -> list[str]:
    sampling = "{sampler: ddim, steps: 3}"
    return [
        f"--config={REPO / 'configs/data/digits.yaml'}",
        f"--model={model}",
        *MODELS[model],
        f"--model.sampling={sampling}",
        "--quality.extractor=lit_gen.metrics.MnistCNN",
        f"--trainer.default_root_dir={root}",
        f"--run_name={name}",
        *SMALL,
        *more,
    ]


@pytest.mark.parametrize("model", MODELS)
def test_a_resumed_run_equals_an_unbroken_one(model: str, tmp_path: Path) -> None:
    fit.main(options(model, tmp_path, "unbroken"))
    fit.main(options(model, tmp_path, "stopped", "--trainer.max_steps=13"))
    stopped = tmp_path / "stopped" / "checkpoints" / "last.ckpt"
    fit.main(options(model, tmp_path, "resumed", f"--ckpt_path={stopped}"))
    assert_same_end(tmp_path / "unbroken", tmp_path / "resumed")
    state, before = (checkpoint(tmp_path / run)["state_dict"] for run in ("resumed", "stopped"))
    if model == "ImprovedDDPMVLB":
        assert int(state["counts"].sum()) == 1500
        assert (state["counts"] >= 10).all()
    else:
        assert not torch.equal(state["schedule.ends"], before["schedule.ends"])


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_two_processes_stay_one_model(model: str, tmp_path: Path) -> None:
    args = options(model, tmp_path, "run", "--trainer.callbacks=test_ddp.Probe")
    found = run_module("lit_gen.fit", *args, *TWO, env=environment())
    assert found.returncode == 0, found.stderr
    one, two = (torch.load(tmp_path / "run" / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert_same(one["state"], two["state"], "state")
    assert_same(one["average"], two["average"], "average")
    if model == "ImprovedDDPMVLB":
        assert int(one["state"]["counts"].sum()) == 1500, "each process remembers the terms of both"
    assert the_record(tmp_path).environment.world_size == 2
