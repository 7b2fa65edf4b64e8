"""A run that was stopped and resumed ends where an unbroken one does, to the bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from commands import assert_same, checkpoint, options, run_fit
from conftest import REPO

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.errors import UserError

STATES = ("state_dict", "optimizer_states", "global_step")


def assert_same_end(unbroken: Path, resumed: Path) -> None:
    a, b = checkpoint(unbroken), checkpoint(resumed)
    for part in STATES:
        assert_same(a[part], b[part], part)
    assert_same(a["callbacks"]["ema"], b["callbacks"]["ema"], "ema")
    assert a["callbacks"]["budget"] == b["callbacks"]["budget"]


@pytest.mark.parametrize("family", ["vae", "gan"])
@pytest.mark.parametrize("steps", [13, 20, 27])
def test_resumed_run_equals_unbroken_run(family: str, steps: int, tmp_path: Path) -> None:
    """Stopped inside the first epoch, at its end, and inside the second (20 batches an epoch)."""
    rates = ["--schedule.decay=CosineDecay", "--schedule.decay.final=0.1", "--schedule.warmup_examples=200"]
    unbroken = run_fit(family, tmp_path, "unbroken", *rates)
    stopped = run_fit(family, tmp_path, "stopped", *rates, f"--trainer.max_steps={steps}")
    assert checkpoint(stopped)["global_step"] == steps
    resumed = run_fit(family, tmp_path, "resumed", *rates, f"--ckpt_path={stopped}/checkpoints/last.ckpt")
    assert_same_end(unbroken, resumed)


def test_muon_resumes_too_and_not_as_adamw(tmp_path: Path) -> None:
    small = ["--model.channels=4", "--model.dilations=[1]", "--model.optimizer=Muon", "--budget.max_examples=500"]
    small += ["--model.level_features=2", "--schedule.warmup_examples=200"]
    unbroken = run_fit("autoregressive", tmp_path, "unbroken", *small)
    stopped = run_fit("autoregressive", tmp_path, "stopped", *small, "--trainer.max_steps=5")
    assert checkpoint(stopped)["global_step"] == 5
    small.append(f"--ckpt_path={stopped}/checkpoints/last.ckpt")
    assert_same_end(unbroken, run_fit("autoregressive", tmp_path, "resumed", *small))
    with pytest.raises(UserError, match=r"was trained with model\.optimizer=.*Muon, but model\.optimizer is now"):
        run_fit("autoregressive", tmp_path, "other", *small, "--model.optimizer=AdamW")
    assert not (tmp_path / "other").exists()


SPECTRAL = [
    "--model.nets=SNGANNets", "--model.nets.generator_channels=[8,8]", "--model.nets.discriminator_channels=[8]",
    "--model.nets.halvings=1", "--model.augmentation=DiffAugment", "--model.updates.micro_batches=2",
]  # fmt: skip


@pytest.mark.parametrize("more", [[], SPECTRAL], ids=["dcgan", "spectral norm and augmentation"])
def test_a_gan_resumes_between_two_steps_of_its_generator(more: list[str], tmp_path: Path) -> None:
    """The first epoch's 20 batches end after two of three discriminator steps."""
    options = ["--model.updates.discriminator_steps=3", "--model.penalty.every=2", *more]
    unbroken = checkpoint(run_fit("gan", tmp_path, "unbroken", *options, "--budget.max_examples=2300"))
    stopped = run_fit("gan", tmp_path, "stopped", *options, "--budget.max_examples=1000")
    assert checkpoint(stopped)["state_dict"]["_extra_state"] == 20
    options.append(f"--ckpt_path={stopped}/checkpoints/last.ckpt")
    resumed = checkpoint(run_fit("gan", tmp_path, "resumed", *options, "--budget.max_examples=2300"))
    assert resumed["global_step"] == unbroken["global_step"] == 46 // 3
    assert_same(unbroken["state_dict"], resumed["state_dict"], "weights")


def test_training_noise_and_order_matter(tmp_path: Path) -> None:
    """Guards the test above: another seed ends elsewhere, so equality there is no accident."""
    a = checkpoint(run_fit("vae", tmp_path, "a", "--budget.max_examples=300"))
    b = checkpoint(run_fit("vae", tmp_path, "b", "--budget.max_examples=300", "--seed_everything=1"))
    with pytest.raises(AssertionError):
        assert_same(a["state_dict"], b["state_dict"])


def test_ctrl_c_leaves_a_checkpoint_that_resumes_exactly(tmp_path: Path) -> None:
    """A signal in the middle of training: exit code 130, one line, and the unbroken run's end after resuming."""
    long = ["--budget.max_examples=60000", "--trainer.check_val_every_n_epoch=1000", "--quality.extractor=null"]
    command = [sys.executable, "-m", "lit_gen.fit", *options("vae", tmp_path, "--run_name=stopped", *long)]
    with subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        curves = tmp_path / "stopped" / "config.yaml"
        while not curves.exists():
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert error.strip().splitlines()[-1].endswith(f"; to go on: lit-gen fit --resume {tmp_path / 'stopped'}")
    reached = checkpoint(tmp_path / "stopped", "interrupted")["callbacks"]["budget"]["examples_seen"]
    assert 0 < reached < 60000, "stop it earlier or give it more to do"
    assert not (tmp_path / "stopped" / "record.json").exists()
    end = [*long, f"--budget.max_examples={reached + 1000}"]
    resumed = run_fit("vae", tmp_path, "resumed", *end, f"--ckpt_path={tmp_path}/stopped/checkpoints/interrupted.ckpt")
    assert_same_end(run_fit("vae", tmp_path, "unbroken", *end), resumed)


def test_a_kill_loses_no_row_and_no_checkpoint(tmp_path: Path) -> None:
    """SIGKILL at any moment of a run that writes a checkpoint after nearly every step; resumed, it ends as unbroken."""
    long = ["--budget.max_examples=60000", "--trainer.check_val_every_n_epoch=1000", "--quality.extractor=null"]
    often = ["--checkpoint.every_minutes=1.0e-6", "--trainer.log_every_n_steps=1"]
    command = [sys.executable, "-m", "lit_gen.fit", *options("vae", tmp_path, "--run_name=killed", *long, *often)]
    killed = tmp_path / "killed"
    with subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE, env=dict(os.environ)) as process:
        while not (killed / "checkpoints" / "last.ckpt").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.4)
        process.kill()
    step = checkpoint(killed)["global_step"]
    assert 1 < step < 1200, "kill it earlier or give it more to do"
    end = [*long, "--trainer.log_every_n_steps=1", f"--budget.max_examples={50 * step + 500}"]
    resumed = run_fit("vae", tmp_path, "resumed", *end, f"--ckpt_path={killed}/checkpoints/last.ckpt")
    unbroken = run_fit("vae", tmp_path, "unbroken", *end)
    assert_same_end(unbroken, resumed)
    assert (resumed / "metrics.csv").read_text() == (unbroken / "metrics.csv").read_text()
    assert len((unbroken / "metrics.csv").read_text().splitlines()) >= step + 10


class SpoilWeights(L.Callback):
    """Makes a weight of the decoder NaN after the twentieth step, as a division by zero would."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        if trainer.global_step == 22:
            next(pl_module.decoder.parameters()).data.view(-1)[0] = float("nan")


def test_nan_leaves_checkpoints_that_can_be_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the second of two epochs of 20 steps: both checkpoints are of the first, and the files' weights are finite."""
    args = options("vae", tmp_path, "--run_name=nan", "--trainer.callbacks=test_resume.SpoilWeights")
    assert run_command(fit.main, [*args, "--trainer.log_every_n_steps=50"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    last = tmp_path / "nan" / "checkpoints" / "last.ckpt"
    assert "first in step 23, and so are the weights now (" in line or "infinite in step" in line
    assert f"the last good checkpoint is {last}" in line
    assert checkpoint(tmp_path / "nan")["global_step"] == checkpoint(tmp_path / "nan", "best")["global_step"] == 20
    resumed = run_fit("vae", tmp_path, "resumed", f"--ckpt_path={last}")
    assert_same_end(run_fit("vae", tmp_path, "unbroken"), resumed)


@pytest.mark.parametrize("averaged", [False, True])
def test_weights_that_are_not_finite_are_not_resumed(
    averaged: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = checkpoint(run_fit("vae", tmp_path, "good", "--budget.max_examples=100"))
    weights = content["callbacks"]["ema"]["average"] if averaged else content["state_dict"]
    weights["decoder.0.bias"][0] = float("inf")
    torch.save(content, tmp_path / "bad.ckpt")
    args = options("vae", tmp_path, "--run_name=next", f"--ckpt_path={tmp_path}/bad.ckpt")
    assert run_command(fit.main, args) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    name = "the average of decoder.0.bias" if averaged else "decoder.0.bias"
    assert f"cannot be resumed: its weights are NaN or infinite ({name}); use an earlier" in line
    assert not (tmp_path / "next").exists()
