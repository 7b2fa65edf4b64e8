"""Workers of a data loader end at each epoch, and torch handles their signal: none of it is a request to stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from chaos import TWO, alive, assert_stopped, run
from commands import checkpoint, options, run_module
from conftest import REPO

from .sets import TRANSFORM, pictures, write_files

TERM = signal.SIGTERM
SIZES = {"train": 240, "validation": 30, "test": 50}


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a run whose two workers end after every tenth batch."""
    folder = tmp_path_factory.mktemp("files")
    for split, size in SIZES.items():
        write_files(folder, split, pictures(split, size))
    return [
        *("--config", str(REPO / "configs/data/streaming.yaml"), f"--data.path={folder}", "--data.batch_size=24"),
        *(f"--data.transform.{key}={getattr(TRANSFORM, key)}" for key in ("size", "channels", "crop", "resize")),
        *("--data.loader.buffer=64", "--quality.extractor=null", "--scoring.num_samples=20"),
        *("--budget.max_examples=960", "--trainer.check_val_every_n_epoch=1"),
    ]


def test_a_signal_in_the_third_epoch_is_the_first_one(streaming: list[str], tmp_path: Path) -> None:
    end = run(tmp_path, "stopped", *streaming, place="on_train_batch_start", at=26, signal=TERM.value)
    assert_stopped(end, TERM)
    assert checkpoint(tmp_path / "stopped", "interrupted")["global_step"] == 26


@pytest.mark.slow
def test_under_torchrun_a_signal_to_the_second_process_is_the_first_one(streaming: list[str], tmp_path: Path) -> None:
    """The store passes signals on to the other processes, and no ends of workers."""
    launch = ["--nproc-per-node=2", "--master-port=29518", "-m", "lit_gen", "fit"]
    arguments = options("vae", tmp_path, "--run_name=run", *streaming, *TWO, "--trainer.callbacks=chaos.Ender")
    chaos = {"PLACE": "on_train_batch_start", "AT": "26", "RANK": "1", "SIGNAL": str(TERM.value)}
    environment = {**os.environ, "PYTHONPATH": f"{REPO}:{REPO / 'tests'}", "CHAOS_TIME": str(tmp_path / "time")}
    environment |= {f"CHAOS_{key}": value for key, value in chaos.items()}
    found = run_module("torch.distributed.run", *launch, *arguments, env=environment, timeout=240)
    assert "error: stopped by SIGTERM; the last checkpoint is" in found.stderr, found.stderr
    assert checkpoint(tmp_path / "run", "interrupted")["global_step"] >= 26
    assert not alive(tmp_path, "run")
