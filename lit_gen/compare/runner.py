"""Runs a plan: one training after another, each a process of its own, which can be stopped and continued."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lit_gen.compare.plan import Choice, Plan
from lit_gen.errors import UserError
from lit_gen.records.record import read_record
from lit_gen.records.score import SIGNS
from lit_gen.stopping.child import exit_code_of

_PERIOD = 0.5  # seconds


def run_all(plan: Plan, folder: Path) -> list[str]:
    """Trains what is missing, seed after seed, so that an early stop leaves all families.

    Args:
        plan: The plan.
        folder: Folder of the comparison.

    Returns:
        Names of the runs that failed.
    """
    runs = [(seed, choice) for seed in range(plan.seeds) for choice in plan.choices]
    failed = []
    for number, (seed, choice) in enumerate(runs, 1):
        name = f"{choice.family}-{seed}"
        place = f"[{number}/{len(runs)}] {name}"
        if (folder / name / "record.json").is_file():
            _say(f"{place}: done before")
            continue
        begin = time.monotonic()
        code = _call(_command(plan, choice, seed, folder), folder / f"{name}.log", place, choice.seconds)
        took = time.monotonic() - begin
        if code:
            failed.append(name)
            _say(f"{place}: failed after {took:.0f} s: {_last_line(folder / f'{name}.log')}")
        else:
            _say(f"{place}: {took:.0f} s ({choice.seconds:.0f} s planned): {_scores(folder / name)}")
    return failed


def _command(plan: Plan, choice: Choice, seed: int, folder: Path) -> list[str]:
    """The command of a run: a new one, or one that continues from its last checkpoint."""
    here = folder / f"{choice.family}-{seed}"
    if (here / "training.json").is_file() and (here / "checkpoints" / "best.ckpt").is_file():
        return ["lit_gen.evaluate", str(here / "checkpoints" / "best.ckpt")]
    if any(here.rglob("*.ckpt")):
        return ["lit_gen.fit", "--resume", str(here)]
    shutil.rmtree(here, ignore_errors=True)  # of a run that was killed before its first checkpoint
    return ["lit_gen.fit", *plan.command(choice, seed, folder)]


def baselines(plan: Plan, folder: Path) -> str | None:
    """Scores the baselines under the runs' protocol; returns why they are missing, if they are."""
    if any(folder.glob("baselines-*/record.json")):
        return None
    options = [*plan.data, f"--scoring.num_samples={plan.num_samples}", f"--trainer.default_root_dir={folder}"]
    log = folder / "baselines.log"
    code = _call(["lit_gen.evaluate", "--baselines", *options], log, "baselines", 30.0)
    return f"baselines: {_last_line(log)}" if code else None


def _call(command: list[str], log: Path, title: str, seconds: float) -> int:
    """Runs a module in a process of its own, with a bar over the planned seconds; returns its exit code.

    A signal is passed on, so that the run leaves a checkpoint.

    Raises:
        SystemExit: A signal asked to stop.
    """
    environment = {"WANDB_MODE": "disabled", **os.environ}
    with log.open("a") as output:
        start = functools.partial(
            subprocess.Popen, [sys.executable, "-m", *command], stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True, env=environment,
        )
        return exit_code_of(start, lambda process: _waited(process, title, seconds))


def _waited(process: subprocess.Popen[Any], title: str, seconds: float) -> int:
    shown = sys.stderr.isatty()
    with tqdm(desc=title, total=round(seconds), unit=" s", file=sys.stderr, disable=not shown, leave=False,
              bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total} s planned") as bar:
        begin = time.monotonic()
        while True:
            try:
                return process.wait(_PERIOD)
            except subprocess.TimeoutExpired:
                bar.n = min(time.monotonic() - begin, round(seconds))
                bar.refresh()


def _scores(folder: Path) -> str:
    """The first likelihood and the first score of samples, in a few words."""
    record = read_record(folder / "record.json")
    own = [score for score in record.scores if score.protocol.split != "train"]
    likelihood = next((score for score in own if score.kind), None)
    samples = next((score for score in own if not score.kind), None)
    parts = []
    if likelihood is not None and likelihood.kind is not None:
        parts.append(f"{SIGNS[likelihood.kind]} {likelihood.value:.3f} {likelihood.unit}")
    parts += [f"{samples.label} {samples.value:.2f}"] if samples else []
    return ", ".join(parts) or "no scores"


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return f"{(errors or lines or ['no output'])[-1][:300]} (see {log})"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def check_folder(folder: Path, plan_file: Path) -> None:
    """Validates that a folder is a comparison's or new.

    Raises:
        UserError: If it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out={folder} is a file; give a folder")
    if folder.is_dir() and any(folder.iterdir()) and not plan_file.is_file():
        raise UserError(f"--out={folder} holds no comparison and is not empty; give another folder")
