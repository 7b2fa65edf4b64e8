"""What a run trains does not depend on what watches it, and its folder tells how to do it again."""

from __future__ import annotations

import csv
import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import RECIPES, assert_same, checkpoint, options, run_fit, the_record

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.cli.run_folder import make_run_folder

FAMILIES = pytest.mark.parametrize("family", ["vae", "gan"])
SHORT = "--budget.max_examples=300"  # six batches, a third of an epoch


def training_state(run: Path) -> dict[str, Any]:
    """What training has made: weights, optimizers, counts."""
    content = checkpoint(run)
    state = {name: content[name] for name in ("state_dict", "optimizer_states", "global_step")}
    return {**state, "budget": content["callbacks"]["budget"]}


def rows(run: Path) -> list[dict[str, float]]:
    """The rows of a run's curves, without empty cells."""
    with (run / "metrics.csv").open() as file:
        return [{name: float(cell) for name, cell in row.items() if cell} for row in csv.DictReader(file)]


# ------------------------------------------------------------------ the same weights


@FAMILIES
def test_watching_changes_nothing(family: str, tmp_path: Path) -> None:
    """Validations, samples, grids, distances, the average, curves and the logger leave the training alone."""
    watched = run_fit(family, tmp_path, "watched", "--trainer.log_every_n_steps=1")
    alone = run_fit(
        family,
        tmp_path,
        "alone",
        "--trainer.logger=false",
        "--trainer.check_val_every_n_epoch=1000",
        "--quality.extractor=null",
        "--grid.num_samples=0",
        "--ema.halflife_examples=null",
    )
    assert list((watched / "samples").glob("0*.png")), "nothing was watched"
    assert not (alone / "samples").exists()
    assert_same(training_state(watched), training_state(alone))


@FAMILIES
def test_the_folder_s_config_trains_the_same_weights(family: str, tmp_path: Path) -> None:
    first = run_fit(family, tmp_path, "first", SHORT, "--data.loader.seed=5", "--seed_everything=3")
    config = first / "config.yaml"
    fit.main([f"--config={config}", "--run_name=again"])
    again = tmp_path / "again"
    assert_same(training_state(first), training_state(again))
    a, b = (yaml.safe_load((run / "config.yaml").read_text()) for run in (first, again))
    assert (a.pop("run_name"), b.pop("run_name")) == ("first", "again")
    assert a == b
    assert (a["seed_everything"], a["data"]["init_args"]["loader"]["seed"], a["budget"]["max_examples"]) == (3, 5, 300)


# ------------------------------------------------------------------ budget


@FAMILIES
def test_budget_means_the_same_for_every_family(family: str, tmp_path: Path) -> None:
    """Batches of 50: a budget of 320 ends with the seventh, a step each, and the end is validated and kept."""
    run = run_fit(family, tmp_path, "run", "--budget.max_examples=320", "--trainer.check_val_every_n_epoch=100")
    record, kept = the_record(tmp_path), checkpoint(run)
    assert record.cost.examples_seen == 350
    assert kept["callbacks"]["budget"]["examples_seen"] == 350
    assert kept["global_step"] == 7
    assert record.selection.step == 7
    validated = [row["examples_seen"] for row in rows(run) if any(name.startswith("val/") for name in row)]
    assert validated == [350]
    assert (run / "samples" / "0000000350.png").is_file()


def test_data_smaller_than_a_batch(tmp_path: Path) -> None:
    """1,000 training images and batches of 4,096: each epoch is one batch of 1,000."""
    run = run_fit("vae", tmp_path, "run", "--data.init_args.batch_size=4096", "--budget.max_examples=2500")
    assert checkpoint(run)["callbacks"]["budget"]["examples_seen"] == 3000
    assert checkpoint(run)["global_step"] == 3


# ------------------------------------------------------------------ curves


def test_curves_are_means_of_the_steps(tmp_path: Path) -> None:
    each = rows(run_fit("vae", tmp_path, "each", SHORT, "--trainer.log_every_n_steps=1"))
    fours = rows(run_fit("vae", tmp_path, "fours", SHORT, "--trainer.log_every_n_steps=4"))
    each = [row for row in each if "train/loss" in row]
    fours = [row for row in fours if "train/loss" in row]
    assert [row["examples_seen"] for row in each] == [50, 100, 150, 200, 250, 300]
    assert [row["examples_seen"] for row in fours] == [200, 300]
    for name in ("train/loss", "train/rate", "train/distortion"):
        for row, part in zip(fours, (each[:4], each[4:]), strict=True):
            assert row[name] == pytest.approx(sum(r[name] for r in part) / len(part), rel=1e-5)
    for row in each:
        assert row["train/loss"] == pytest.approx(row["train/rate"] + row["train/distortion"], rel=1e-5)


# ------------------------------------------------------------------ what a run leaves


def test_a_run_leaves_one_record_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_fit("vae", tmp_path, "run", SHORT)
    record, said = the_record(tmp_path), capsys.readouterr().out
    for path in (run / "record.json", run / "samples" / "final.png", tmp_path / "leaderboard.html"):
        assert path.is_file()
        assert str(path) in said
    assert record.files == {
        "checkpoint": "checkpoints/best.ckpt",
        "config": "config.yaml",
        "sample_grid": "samples/final.png",
    }
    bpd = next(score for score in record.scores if score.name == "bpd")
    assert f"<= {bpd.value:.4f}" in said


def test_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    found: list[Path] = []
    start = threading.Barrier(16)

    def make() -> None:
        start.wait()
        found.append(make_run_folder(tmp_path, None, "vae-digits"))

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16
    assert all(folder.is_dir() and folder.name.startswith("vae-digits-") for folder in found)


# ------------------------------------------------------------------ runs that fail


def failure(args: list[str], capsys: pytest.CaptureFixture[str], exit_code: int) -> str:
    """The last line of a run that fails after its start."""
    assert run_command(fit.main, args) == exit_code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, error
    return lines[0]


@FAMILIES
def test_divergence_is_one_line_and_a_failed_run(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("lit_gen.runs.tracking.finish", lambda loggers, code: ended.append(code))
    lr = "--model.optimizer.lr=1e9" if family == "vae" else "--model.generator_optimizer.lr=1e38"
    args = options(family, tmp_path, "--run_name=run", lr, "--trainer.log_every_n_steps=5")
    line = failure(args, capsys, exit_code=1)
    assert "train/" in line
    assert " is nan after " in line
    assert "learning rate" in line
    assert ended == [1], "W&B must call the run failed"
    assert not list(tmp_path.rglob("record.json"))
    assert not math.isfinite(rows(tmp_path / "run")[-1]["train/loss"]), "the row that shows it is kept"


def test_a_window_larger_than_the_run_is_one_step(tmp_path: Path) -> None:
    """Its gradients were dropped, and the record was that of the untrained model."""
    run = run_fit("vae", tmp_path, "run", SHORT, "--trainer.accumulate_grad_batches=1000")
    record = json.loads((run / "record.json").read_text())
    assert record["selection"]["step"] == 1
    assert record["cost"]["examples_seen"] == 300


def test_a_bug_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the user can mend is told in a line: a ValueError out of a step is not."""

    def broken(*args: Any) -> None:
        raise ValueError("out of a step")

    monkeypatch.setattr("lit_gen.families.vae.VAE.training_step", broken)
    with pytest.raises(ValueError, match="out of a step"):
        run_command(fit.main, options("vae", tmp_path, SHORT))


@pytest.mark.parametrize("what", ["text", "tensors", "family", "size"])
def test_resuming_from_what_is_no_checkpoint_of_this_run(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    file = tmp_path / "some.ckpt"
    family, named = "vae", "ckpt_path"
    if what == "text":
        file.write_text("hello")
    elif what == "tensors":
        torch.save({"a": torch.zeros(2)}, file)
    else:
        run = run_fit("vae", tmp_path / "before", "run", SHORT)
        file = run / "checkpoints" / "last.ckpt"
        family, named = ("gan", "do not fit the model") if what == "family" else ("vae", "do not fit the model")
    size = ["--model.num_latents=3"] if what == "size" else []
    root = tmp_path / "runs"
    assert named in failure(options(family, root, f"--ckpt_path={file}", *size), capsys, exit_code=2)
    assert not root.exists()


def test_dry_run_leaves_no_record_and_starts_no_tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*args: Any) -> None:
        raise AssertionError("a dry run is not to be tracked")

    monkeypatch.setattr("lit_gen.runs.tracking.loggers", started)
    fit.main([f"--config={RECIPES['vae']}", f"--trainer.default_root_dir={tmp_path}", "--trainer.fast_dev_run=true"])
    assert not list(tmp_path.rglob("record.json"))
