"""DDPM against diffusers and denoising-diffusion-pytorch, and samplers against their network's bare evaluations.

    pip install --no-deps diffusers==0.42.1 denoising-diffusion-pytorch==2.3.4 accelerate==1.15.0 ema-pytorch==0.8.3 \
        einops==0.8.2
    python -m pytest tests/benchmarks/test_diffusion.py -m benchmark -n 0 -s

Turns, threads and ratios as in ``test_flows``. That diffusers' network and ours give the same numbers for the same
weights is tested in ``tests/nets``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import diffusion_peers
from benchmarks.diffusion_ours import EVALUATIONS, OPTIONS, SAMPLES, SAMPLINGS, build
from benchmarks.sets import random_images
from benchmarks.test_training import ENVIRONMENT
from benchmarks.turns import Results, contest, imports_mib

PEERS = list(diffusion_peers.PACKAGES)
ROUNDS, SAMPLING_ROUNDS = 7, 5

pytestmark = pytest.mark.skipif(
    not all(map(diffusion_peers.is_there, PEERS)), reason="needs the peers of pyproject's benchmark"
)


def fit(root: Path, *options: str) -> list[str]:
    """The command of our training."""
    return [
        *("-m", "lit_gen.fit", f"--trainer.default_root_dir={root}", "--trainer.accelerator=cpu"),
        *("--data=benchmarks.sets.RandomImages", "--data.num_train=60000", *OPTIONS),
        *("--budget.max_examples=100000000", "--trainer.max_epochs=-1", "--trainer.check_val_every_n_epoch=1000"),
        *("--ema.halflife_examples=10000", "--trainer.callbacks=benchmarks.diffusion_ours.LossTurns", *options),
    ]


@pytest.mark.benchmark
def test_training(tmp_path: Path) -> None:
    commands = {"fit": fit(tmp_path)}
    commands |= {peer: ["-m", "benchmarks.diffusion_peers", "train", peer] for peer in PEERS}
    commands["fit, bf16"] = fit(tmp_path, "--trainer.precision=bf16-mixed")
    with contest(commands, ENVIRONMENT, tmp_path) as contestants:
        results = Results(contestants, ROUNDS, ours=("fit", "fit, bf16"))
    print(results.table("DDPM, training"))
    mine, least = results.own_peak("fit", imports_mib(ENVIRONMENT)), min(results.peak(peer) for peer in PEERS)
    print(f"memory without imports and the averaged weights: {mine:,.0f} MiB; the least of the peers: {least:,.0f} MiB")
    assert results.ratio("fit") >= 1
    assert results.ratio("fit, bf16") >= 1.35
    assert mine <= least


@pytest.mark.benchmark
def test_sampling(tmp_path: Path) -> None:
    commands = {how: ["-m", "benchmarks.diffusion_ours", how] for how in ("bare", *SAMPLINGS)}
    commands |= {peer: ["-m", "benchmarks.diffusion_peers", "sample", peer] for peer in PEERS}
    with contest(commands, ENVIRONMENT, tmp_path) as contestants:
        results = Results(contestants, SAMPLING_ROUNDS, ours=("bare", *SAMPLINGS), reference="bare")
    print(
        results.table(
            f"DDPM, samples, {SAMPLES} at a time; an image counts as often as the network sees it, {EVALUATIONS} times"
        )
    )
    for how in SAMPLINGS:
        assert 1 / results.ratio(how) <= 1.05, f"{how} costs more than its network"
        assert results.ratio(how) >= 0.95 * results.ratio(results.fastest_peer)


def test_contestants_start_alike() -> None:
    torch.manual_seed(0)
    x = random_images(diffusion_peers.BATCH, (1, 28, 28), diffusion_peers.LEVELS)
    model, net = build(SAMPLINGS["ddim"]), diffusion_peers.unet()
    diffusion = diffusion_peers.gaussian_diffusion()
    assert diffusion_peers.count(model) == diffusion_peers.count(net) == diffusion_peers.count(diffusion)
    with torch.no_grad():
        losses = [
            model.training_step((x, None, torch.arange(len(x))), 0),
            diffusion_peers.diffusers_loss(net, diffusion_peers.scheduler(), x),
            diffusion(diffusion_peers.scaled(x)),
        ]
    # The noise's own square, but for what diffusers' last convolution, which does not start at zero, adds to it.
    assert [float(loss) for loss in losses] == pytest.approx([1.0, 1.2, 1.0], abs=0.2)


@pytest.mark.parametrize("how", SAMPLINGS)
def test_evaluations_are_counted(how: str) -> None:
    """What the figures a function evaluation are divided by."""
    model, seen = build(SAMPLINGS[how]).eval(), []
    model.net.register_forward_hook(lambda net, inputs, output: seen.append(len(output)))
    assert len(model.sample(2)) == 2
    assert sum(seen) == 2 * EVALUATIONS
