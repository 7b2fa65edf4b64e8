"""Normalizing flows against nflows, normflows and zuko: the same nets, batches and machine, in one run.

    pip install --no-deps normflows==1.7.3 nflows==0.14 UMNN==1.71 zuko==1.6.0
    python -m pytest tests/benchmarks/test_flows.py -m benchmark -n 0 -s

Each contestant is a process of its own with one thread, and they take turns in windows of 3 s; a ratio is the median
of the ratios round by round. ``fit`` runs as a user has it: curves, progress bar, EMA, checkpoints and an offline W&B
run. The peers run in plain loops of their own with a DataLoader over the same sort of data in memory.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
import torch

from benchmarks import flow_peers
from benchmarks.flow_ours import OPTIONS, build
from benchmarks.sets import random_images
from benchmarks.test_training import ENVIRONMENT
from benchmarks.turns import Results, contest, imports_mib
from lit_gen.likelihood import bits_per_dim
from lit_gen.noise import Noise

PEERS = list(flow_peers.PEERS)
ROUNDS = 7

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PEERS), reason="needs the peers of pyproject's benchmark"
)


def fit(arch: str, root: Path, *options: str) -> list[str]:
    """The command of our training."""
    return [
        *("-m", "lit_gen.fit", f"--trainer.default_root_dir={root}", "--trainer.accelerator=cpu", *OPTIONS[arch]),
        *("--data=benchmarks.sets.RandomImages", "--data.num_train=60000", "--data.num_levels=256"),
        *("--budget.max_examples=100000000", "--trainer.max_epochs=-1", "--trainer.check_val_every_n_epoch=1000"),
        *("--ema.halflife_examples=10000", "--trainer.callbacks=benchmarks.ours.Turns", *options),
    ]


# MLP RealNVP: 1.15 and 2.5 are out of reach here. Matrix products take four fifths of the fastest peer's step, and
# bfloat16 ones run at 2.5 times float32's speed, before Adam's step and the casts (CONTRIBUTING.md).
@pytest.mark.benchmark
@pytest.mark.parametrize(("arch", "goal", "goal_bf16"), [("realnvp", 0.95, 1.3), ("nsf", 1.15, 1.75), ("maf", 1.15, 0)])
def test_training(arch: str, goal: float, goal_bf16: float, tmp_path: Path) -> None:
    commands = {"fit": fit(arch, tmp_path)}
    commands |= {peer: ["-m", "benchmarks.flow_peers", "train", peer, arch] for peer in PEERS}
    commands["fit, bf16"] = fit(arch, tmp_path, "--trainer.precision=bf16-mixed")
    with contest(commands, ENVIRONMENT, tmp_path) as contestants:
        results = Results(contestants, ROUNDS, ours=("fit", "fit, bf16"))
    print(results.table(f"{arch}, training"))
    assert results.ratio("fit") >= goal
    assert results.ratio("fit, bf16") >= goal_bf16
    mine, least = results.own_peak("fit", imports_mib(ENVIRONMENT)), min(results.peak(peer) for peer in PEERS)
    print(f"memory without imports and the averaged weights: {mine:,.0f} MiB; the least of the peers: {least:,.0f} MiB")
    assert mine <= 1.05 * least


# MLP RealNVP: the bounded scale's tanh and examples' own noise are what normflows does without (CONTRIBUTING.md).
@pytest.mark.benchmark
@pytest.mark.parametrize(("arch", "goal", "rounds"), [("realnvp", 0.85, ROUNDS), ("nsf", 1, ROUNDS), ("maf", 100, 2)])
def test_sampling(arch: str, goal: float, rounds: int, tmp_path: Path) -> None:
    commands = {"lit_gen": ["-m", "benchmarks.flow_ours", arch]}
    commands |= {peer: ["-m", "benchmarks.flow_peers", "sample", peer, arch] for peer in PEERS}
    with contest(commands, ENVIRONMENT, tmp_path) as contestants:
        results = Results(contestants, rounds, ours=("lit_gen",))
    print(results.table(f"{arch}, samples, {flow_peers.SAMPLES[arch]} at a time"))
    assert results.ratio("lit_gen") >= goal


@pytest.mark.filterwarnings("ignore:Inputs to the softmax are not scaled:UserWarning")  # normflows
@pytest.mark.parametrize("arch", OPTIONS)
@pytest.mark.parametrize("peer", PEERS)
def test_contestants_start_alike(peer: str, arch: str) -> None:
    x = random_images(64, (1, 28, 28), 256)
    flow, ours = flow_peers.PEERS[peer](arch), build(arch)
    assert flow_peers.count(flow) == pytest.approx(flow_peers.count(ours), rel=0.01)
    with torch.no_grad():
        theirs = flow_peers.nats(flow_peers.log_density(peer, flow), x)
        mine = ours.nll(x, Noise(0, range(64), torch.device("cpu")))
    assert mine is not None
    assert float(theirs) / 784 / math.log(2) == pytest.approx(float(bits_per_dim(mine.nats.mean(), (784,))), abs=1.0)
