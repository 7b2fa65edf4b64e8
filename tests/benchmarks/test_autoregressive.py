"""Autoregressive models against pytorch-generative and x-transformers, and caches against naive sampling.

    pip install --no-deps x-transformers==2.31.10 einops einx loguru frozendict torch-einops-utils
    PYTORCH_GENERATIVE=A_CHECKOUT python -m pytest tests/benchmarks/test_autoregressive.py -m benchmark -n 0 -s

Turns, threads and ratios as in ``test_flows``. A naive sampler makes one full pass for each dimension; one pass is
timed, and there are 784.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ar_peers
from benchmarks.ar_ours import OPTIONS, SAMPLES
from benchmarks.test_training import ENVIRONMENT
from benchmarks.turns import Results, contest, imports_mib

ROUNDS = 7


def fit(arch: str, root: Path, *options: str) -> list[str]:
    """The command of our training."""
    return [
        *("-m", "lit_gen.fit", f"--trainer.default_root_dir={root}", "--trainer.accelerator=cpu"),
        *("--data=benchmarks.sets.RandomImages", "--data.num_train=60000", *OPTIONS[arch]),
        *("--budget.max_examples=100000000", "--trainer.max_epochs=-1", "--trainer.check_val_every_n_epoch=1000"),
        *("--ema.halflife_examples=10000", "--trainer.callbacks=benchmarks.ours.Turns", *options),
    ]


def needed(peer: str) -> None:
    """Skips where a peer is missing."""
    if not ar_peers.is_there(peer):
        pytest.skip(f"needs {peer}")


@pytest.mark.benchmark
@pytest.mark.parametrize(
    ("peer", "goal", "goal_bf16"), [("pytorch-generative", 1.25, 2.2), ("x-transformers", 1.05, 1.25)]
)
def test_training(peer: str, goal: float, goal_bf16: float, tmp_path: Path) -> None:
    needed(peer)
    arch = ar_peers.ARCH[peer]
    commands = {
        "fit": fit(arch, tmp_path),
        peer: ["-m", "benchmarks.ar_peers", "train", peer],
        "fit, bf16": fit(arch, tmp_path, "--trainer.precision=bf16-mixed"),
    }
    with contest(commands, ENVIRONMENT, tmp_path) as contestants:
        results = Results(contestants, ROUNDS, ours=("fit", "fit, bf16"))
    print(results.table(f"{arch}, training"))
    assert results.ratio("fit") >= goal
    assert results.ratio("fit, bf16") >= goal_bf16
    mine, theirs = results.own_peak("fit", imports_mib(ENVIRONMENT)), results.peak(peer)
    print(f"memory without imports and the averaged weights: {mine:,.0f} MiB; {peer}: {theirs:,.0f} MiB")
    assert mine <= 1.05 * theirs


@pytest.mark.benchmark
@pytest.mark.parametrize("arch", OPTIONS)
def test_a_cache_against_naive_sampling(arch: str, tmp_path: Path) -> None:
    commands = {how: ["-m", "benchmarks.ar_ours", arch, how] for how in ("cached", "naive")}
    with contest(commands, ENVIRONMENT, tmp_path) as contestants:
        results = Results(contestants, 3, ours=("cached",))
    naive = results.rate("naive") * SAMPLES / 784  # passes a second to images a second
    ratio = results.rate("cached") / naive
    print(
        f"\n{arch}, samples, {SAMPLES} at a time: cached {results.rate('cached'):.1f} images/s, naive {naive:.3f}"
        f" ({1000 / results.rate('cached'):.1f} and {1000 / naive:,.0f} s per 1,000); ratio {ratio:.0f}"
    )
    assert ratio >= 100


@pytest.mark.benchmark
def test_sampling_from_a_transformer(tmp_path: Path) -> None:
    needed("x-transformers")
    commands = {
        "lit_gen": ["-m", "benchmarks.ar_ours", "transformer", "cached"],
        "x-transformers": ["-m", "benchmarks.ar_peers", "sample", "x-transformers"],
    }
    with contest(commands, ENVIRONMENT, tmp_path) as contestants:
        results = Results(contestants, 3, ours=("lit_gen",))
    print(results.table(f"transformer, samples, {SAMPLES} at a time"))
    assert results.ratio("lit_gen") >= 1.4
