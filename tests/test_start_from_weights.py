"""``fit --weights=CKPT`` starts a new run from the weights of another, on the same or on other data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from commands import assert_same, checkpoint, options, run_fit
from test_same_folder import error_of

from lit_gen import fit
from lit_gen.cli.build import run_from_args
from lit_gen.records.record import read_record

SHORT = "--budget.max_examples=300"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Short runs whose averages differ from their last weights."""
    root = tmp_path_factory.mktemp("trained")
    return {family: run_fit(family, root / family, "run", SHORT) for family in ("vae", "gan")}


def last(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


def started(family: str, root: Path, *more: str) -> dict[str, Any]:
    """State of a model before its first step."""
    return run_from_args(options(family, root, "--run_name=new", *more)).model.state_dict()


@pytest.mark.parametrize("family", ["vae", "gan"])
@pytest.mark.parametrize("kind", ["auto", "ema", "raw"])
def test_the_weights_are_the_requested_ones(
    family: str, kind: str, trained: dict[str, Path], tmp_path: Path
) -> None:
    content = checkpoint(trained[family])
    average = content["callbacks"]["ema"]["average"]
    expected = {**content["state_dict"], **({} if kind == "raw" else average)}
    state = started(family, tmp_path, f"--weights={last(trained[family])}", f"--weights_kind={kind}")
    assert any(not torch.equal(average[name], content["state_dict"][name]) for name in average)
    if family == "gan":
        assert (content["state_dict"]["_extra_state"], state["_extra_state"]) == (6, 0), "counts start anew"
        expected["_extra_state"] = 0
    assert_same(dict(state), expected)


def test_budget_best_and_optimizer_are_new(trained: dict[str, Path], tmp_path: Path) -> None:
    run = run_fit("vae", tmp_path, "new", SHORT, f"--weights={last(trained['vae'])}", "--data.loader.seed=4")
    content, record = checkpoint(run), read_record(run / "record.json")
    assert content["callbacks"]["budget"]["examples_seen"] == record.cost.examples_seen == 300
    assert content["global_step"] == 6
    assert record.selection.rule == "best val/bpd of 1"
    assert {float(state["step"]) for state in content["optimizer_states"][0]["state"].values()} == {6.0}
    assert record.config["weights"] == str(last(trained["vae"]))


def test_a_run_started_from_weights_resumes_without_their_file(tmp_path: Path, trained: dict[str, Path]) -> None:
    file = tmp_path / "weights.ckpt"
    file.write_bytes(last(trained["vae"]).read_bytes())
    run = run_fit("vae", tmp_path / "broken", "run", SHORT, f"--weights={file}")
    unbroken = run_fit("vae", tmp_path / "unbroken", "run", "--budget.max_examples=500", f"--weights={file}")
    file.unlink()
    fit.main(["--resume", str(run), "--budget.max_examples=500"])
    assert_same(checkpoint(run)["state_dict"], checkpoint(unbroken)["state_dict"])


def test_what_does_not_fit_is_one_line_and_no_folder(
    tmp_path: Path, trained: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def line(*more: str) -> str:
        return error_of(options("vae", tmp_path / "runs", *more), capsys)

    file = f"--weights={last(trained['vae'])}"
    assert "size mismatch" in line(file, "--model.num_latents=3")
    assert "do not fit the model" in line(f"--weights={last(trained['gan'])}")
    assert "there is no checkpoint" in line("--weights=nowhere.ckpt")
    assert "leave one of them out" in line(file, f"--ckpt_path={last(trained['vae'])}")
    content = checkpoint(trained["vae"])
    content["callbacks"]["ema"]["average"] = {}
    torch.save(content, tmp_path / "raw.ckpt")
    assert "weights_kind=ema, but the run kept no average" in line(
        f"--weights={tmp_path / 'raw.ckpt'}", "--weights_kind=ema"
    )
    next(value for value in content["state_dict"].values() if value.is_floating_point()).fill_(float("nan"))
    torch.save(content, tmp_path / "nan.ckpt")
    assert "contains NaN or infinity" in line(f"--weights={tmp_path / 'nan.ckpt'}")
    assert not (tmp_path / "runs").exists()
