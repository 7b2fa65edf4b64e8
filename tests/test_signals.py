"""A run that any of its processes is asked to end, anywhere, loses nothing; a killed process ends the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chaos import TWO, alive, assert_same_end, assert_stopped, go_on, run
from commands import checkpoint, run_fit, run_module
from conftest import REPO

from lit_gen.stopping.stops import advice

TERM, INT, HUP, USR1, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGKILL
ACCUMULATE = ("--trainer.accumulate_grad_batches=3",)


def interrupted(run: Path) -> Path:
    """The checkpoint that a stopped run leaves; in a validation at its end, that is the one written before it."""
    folder = run / "checkpoints"
    return next(file for file in (folder / "interrupted.ckpt", folder / "last.ckpt") if file.is_file())


def test_a_validation_is_abandoned_and_repeated_when_the_run_goes_on(tmp_path: Path) -> None:
    """It would sleep for 30 s; the best checkpoint, its candidates and all curves are those of an unbroken run."""
    end = run(tmp_path, "stopped", place="sampling", at=20, signal=TERM.value, sleep=30)
    assert_stopped(end, TERM)
    assert end.line.endswith(f"; to go on: lit-gen fit --resume {tmp_path / 'stopped'}")
    assert checkpoint(tmp_path / "stopped", "interrupted")["global_step"] == 20
    resumed = run_fit("vae", tmp_path, "resumed", f"--ckpt_path={interrupted(tmp_path / 'stopped')}")
    assert_same_end(run_fit("vae", tmp_path, "unbroken"), resumed)


def test_a_signal_to_the_second_process_stops_both(tmp_path: Path) -> None:
    """Inside an accumulation of three batches, which is finished."""
    end = run(tmp_path, "run", *TWO, *ACCUMULATE, place="on_train_batch_start", at=8, rank=1, signal=HUP.value)
    assert_stopped(end, HUP)
    content = checkpoint(tmp_path / "run", "interrupted")
    batches = content["callbacks"]["budget"]["examples_seen"] // 50
    assert batches % 3 == 0
    assert content["global_step"] == batches // 3


def test_a_killed_process_ends_the_other_in_one_line(tmp_path: Path) -> None:
    options = (*TWO, "--budget.max_examples=100000")
    end = run(tmp_path, "run", *options, place="on_train_batch_start", at=30, rank=1, signal=KILL.value)
    assert end.code == 1
    assert not end.processes
    assert end.seconds < 30
    assert "Traceback" not in end.error
    # The survivor may notice the loss in its step, whose exception leaves the last complete step.
    rescued = tmp_path / "run" / "checkpoints" / "interrupted.ckpt"
    file = rescued if rescued.is_file() else rescued.with_name("last.ckpt")
    go_on = f"the last checkpoint is {file}; to go on: lit-gen fit --resume {file.parent.parent}"
    assert end.line == f"error: process 1 of the run was killed by SIGKILL, so the run ends; {go_on}"


def test_while_scoring_the_line_says_how_to_score(tmp_path: Path) -> None:
    end = run(tmp_path, "run", "--budget.max_examples=200", place="scoring", signal=USR1.value, sleep=30)
    assert_stopped(end, USR1)
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    assert end.line.endswith(f"; training is complete; to score best.ckpt: lit-gen evaluate {best}")
    assert not (tmp_path / "run" / "record.json").exists()
    assert (tmp_path / "run" / "training.json").exists(), "the record will tell what training took"


@pytest.mark.slow
def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """In a step of 30 s, for which the first one waits."""
    end = run(tmp_path, "run", place="on_train_batch_start", at=3, signal=f"{USR1.value} {TERM.value}", sleep=30)
    assert end.code == 128 + USR1
    assert end.line.startswith("error: stopped at once by a second signal after SIGUSR1; no checkpoint was written yet")
    assert end.seconds < 5


def test_the_newest_checkpoint_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "a run" / "checkpoints"
    folder.mkdir(parents=True)
    assert advice(folder.parent) == "no checkpoint was written yet; give the same command again"
    assert "had not gone on from old.ckpt" in advice(folder.parent, resumed=Path("old.ckpt"))
    for name, written in {"interrupted": 1, "best": 3, "last": 2}.items():
        (folder / f"{name}.ckpt").touch()
        os.utime(folder / f"{name}.ckpt", (written, written))
    assert f"last checkpoint is {folder / 'last.ckpt'}" in advice(folder.parent)
    assert advice(folder.parent).endswith(f"lit-gen fit --resume '{folder.parent}'")


# ------------------------------------------------------------------ many kills

PLACES = {
    "first step": ("on_train_batch_start", 1),
    "step": ("on_train_batch_start", 7),
    "step before a validation": ("on_train_batch_start", 20),
    "batch of a validation": ("on_validation_batch_start", 20),
    "samples of a validation": ("sampling", 20),
    "end of a validation": ("on_validation_end", 20),
    "checkpoint": ("on_save_checkpoint", 20),
    "end of an epoch": ("on_train_epoch_end", 20),
    "last step": ("on_train_batch_start", 30),
    "last validation": ("sampling", 30),
}
CONFIGS = {
    "vae": ("vae", ()),
    "gan": ("gan", ()),
    "accumulation": ("vae", ACCUMULATE),
    "validations inside epochs": ("vae", ("--trainer.val_check_interval=10", "--quality.every=2")),
    "two": ("vae", (*TWO, "--quality.num_samples=600")),
    "two gan": ("gan", (*TWO, "--quality.num_samples=600")),
}
SENT = (TERM, INT, HUP, USR1)


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS)
def test_stopped_anywhere_and_resumed_a_run_ends_as_if_nothing_had_happened(config: str, tmp_path: Path) -> None:
    """Each place once, by the four signals and the processes in turn."""
    family, options = CONFIGS[config]
    assert run(tmp_path, "unbroken", *options, family=family).code == 0
    for i, (place, (hook, at)) in enumerate(PLACES.items()):
        number, rank = SENT[i % 4], i % 2 if "two" in config else 0
        name = place.replace(" ", "-")
        end = run(tmp_path, name, *options, family=family, place=hook, at=at, rank=rank, signal=number.value)
        print(f"{config}, {place}: {number.name} to {rank}, code {end.code}, {end.seconds:.1f} s")
        assert_stopped(end, number)
        if i % 3:  # by the printed command, in the same folder; else from the checkpoint, in another one
            resumed, again = name, go_on(end)
        else:
            resumed = f"{name}-resumed"
            again = run(tmp_path, resumed, *options, f"--ckpt_path={interrupted(tmp_path / name)}", family=family)
        assert again.code == 0, again.error
        assert_same_end(tmp_path / "unbroken", tmp_path / resumed)


@pytest.mark.slow
def test_a_run_stopped_again_and_again_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """Twice in the same validation, once in the step after it, in one chain."""
    assert run(tmp_path, "unbroken").code == 0
    parts, more = [], []
    for i, (hook, at) in enumerate([("sampling", 20), ("on_validation_batch_start", 20), ("on_train_batch_start", 21)]):
        assert_stopped(run(tmp_path, f"part{i}", *more, place=hook, at=at, signal=SENT[i].value), SENT[i])
        parts.append(tmp_path / f"part{i}")
        more = [f"--ckpt_path={interrupted(parts[-1])}"]
    assert run(tmp_path, "end", *more).code == 0
    assert_same_end(tmp_path / "unbroken", tmp_path / "end")


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("place", ["on_fit_start", "on_train_batch_start", "on_validation_batch_start", "scoring"])
def test_no_process_outlives_a_killed_one(place: str, rank: int, tmp_path: Path) -> None:
    end = run(tmp_path, "run", *TWO, place=place, at=25 if "batch" in place else 0, rank=rank, signal=KILL.value)
    print(f"SIGKILL of {rank} in {place}: code {end.code}, {end.seconds:.1f} s")
    assert end.code == (1 if rank else -KILL)
    assert not end.processes
    assert end.seconds < 30
    assert "Traceback" not in end.error
    assert end.line.startswith("error: ")
    assert ("lit-gen evaluate" in end.line) is (place == "scoring")
    assert ("lit-gen fit --resume" in end.line) is ("batch" in place)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["lit_gen.fit", "lit_gen"])
@pytest.mark.parametrize("devices", [1, 2])
def test_at_any_time_of_the_start(module: str, devices: int, tmp_path: Path) -> None:
    """Every second, as torch is imported, data are read and processes are started; to all processes, as a terminal."""
    args = ["--config=configs/recipes/digits/vae.yaml", f"--trainer.default_root_dir={tmp_path}", "--run_name=run"]
    args += ["--trainer.accelerator=cpu", f"--trainer.devices={devices}", "--trainer.max_steps=100000"]
    for i in range(8):
        number = SENT[i % 4]
        command = [sys.executable, "-m", module, *(["fit"] if module == "lit_gen" else []), *args]
        with subprocess.Popen(
            command, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": f"{REPO}"},
        ) as process:
            time.sleep(0.4 + 1.0 * i)
            start = time.time()
            os.killpg(process.pid, number)
            _, error = process.communicate(timeout=60)
        print(f"{module}, {devices} processes, {0.4 + i:.1f} s: code {process.returncode}, {time.time() - start:.1f} s")
        assert process.returncode == 128 + number, error
        assert error.strip().splitlines()[-1].startswith(f"error: stopped by {number.name}")
        assert "Traceback" not in error
        assert time.time() - start < 10
        assert not alive(tmp_path, "run")
        if (tmp_path / "run").exists():
            assert interrupted(tmp_path / "run").exists(), "the same command could not be given again"
            break


@pytest.mark.slow
def test_evaluate_in_two_processes_ends_on_a_signal(tmp_path: Path) -> None:
    """Its Trainer is another one than fit's."""
    best = run_fit("vae", tmp_path, "run", "--budget.max_examples=300") / "checkpoints" / "best.ckpt"
    environment = {**os.environ, "PYTHONPATH": f"{REPO}:{REPO / 'tests'}"}
    more = ["--scoring.num_samples=1000000", "--scoring.estimator=iwae", "--scoring.draws=5000"]
    command = [sys.executable, "-m", "lit_gen", "evaluate", str(best), *TWO, *more]
    with subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE, text=True, env=environment) as process:
        time.sleep(20)
        process.send_signal(TERM)
        _, error = process.communicate(timeout=20)
    assert process.returncode == 128 + TERM, error
    assert error.strip().splitlines()[-1] == "error: stopped by SIGTERM; give the same command again"
    assert not [line for line in error.splitlines() if "Traceback" in line]


@pytest.mark.slow
def test_under_torchrun_a_signal_to_one_process_stops_all(tmp_path: Path) -> None:
    """The launcher starts all processes; they reach each other through the store of torch.distributed."""
    chaos = {"CHAOS_PLACE": "on_train_batch_start", "CHAOS_AT": "8", "CHAOS_RANK": "1", "CHAOS_SIGNAL": str(HUP.value)}
    environment = {**os.environ, **chaos, "PYTHONPATH": f"{REPO}:{REPO / 'tests'}"}
    environment["CHAOS_TIME"] = str(tmp_path / "time")
    args = ["--config=configs/recipes/digits/vae.yaml", f"--trainer.default_root_dir={tmp_path}", "--run_name=run"]
    args += ["--trainer.callbacks=chaos.Ender", "--budget.max_examples=1000000000", *TWO]
    launch = ["--nproc-per-node=2", "--master-port=29517", "-m", "lit_gen", "fit", *args]
    found = run_module("torch.distributed.run", *launch, env=environment, timeout=120)
    assert "error: stopped by SIGHUP; the last checkpoint is" in found.stderr, found.stderr
    assert interrupted(tmp_path / "run").exists()
    assert not alive(tmp_path, "run")
