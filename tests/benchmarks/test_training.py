"""Training speed with all that a user sees switched on, against the peers' own loops, in one run.

    pip install --no-deps pythae==0.1.2
    python -m pytest tests/benchmarks -m benchmark -n 0 -s

Each contestant is a process of its own with one thread; they take turns (A B A B ...), and the figure is the median
of the ratios turn by turn, so that it holds on a machine whose speed drifts. ``fit`` runs its curves, progress bar,
EMA, checkpoints, sample grid and an offline W&B run; start-up, validation and final scores are not training.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from conftest import REPO

from lit_gen.records.record import read_record

pytestmark = pytest.mark.benchmark
ROUNDS = int(os.environ.get("ROUNDS", "5"))
# The checkout's own package comes first, whichever is installed.
PATHS = os.pathsep.join([str(REPO), str(REPO / "tests")])
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS, "WANDB_MODE": "offline"}


def run(*command: str) -> str:
    found = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=REPO, env=ENVIRONMENT, check=True
    )
    return found.stdout


def rate_of_peer(name: str, num_images: int) -> float:
    return float(run("-m", "benchmarks.peers", name, str(num_images)).split("RATE")[1])


def rate_of_fit(root: Path, num_images: int, *options: str) -> float:
    name = uuid.uuid4().hex
    run(
        *("-m", "lit_gen.fit", f"--trainer.default_root_dir={root}", f"--run_name={name}"),
        *("--data=benchmarks.sets.RandomImages", f"--data.num_train={num_images}", *options),
        *(f"--budget.max_examples={num_images}", "--ema.halflife_examples=10000", "--trainer.accelerator=cpu"),
    )
    rate = read_record(root / name / "record.json").cost.examples_per_second
    assert rate is not None
    return rate


def report(name: str, ours: list[float], theirs: list[float]) -> float:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(
        f"\n{name}: {statistics.median(ours):,.0f} against {statistics.median(theirs):,.0f} images/s;"
        f" ratio {statistics.median(ratios):.2f} (of {len(ratios)}: {min(ratios):.2f} to {max(ratios):.2f})"
    )
    return statistics.median(ratios)


@pytest.mark.skipif(importlib.util.find_spec("pythae") is None, reason="pip install --no-deps pythae==0.1.2")
def test_mlp_vae_against_pythae(tmp_path: Path) -> None:
    options = [
        *("--model=VAE", "--model.num_latents=16", "--model.observation=Bernoulli"),
        *("--model.nets=MLPNets", "--model.nets.hidden_sizes=[512]"),
    ]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(rate_of_fit(tmp_path, 60_000, *options))
        theirs.append(rate_of_peer("pythae_vae", 60_000))
    assert report("MLP VAE, fit / pythae", ours, theirs) >= 1.2
