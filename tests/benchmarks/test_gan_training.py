"""Training speed of GANs with all that a user sees switched on, against plain loops around the same nets.

    python -m pytest tests/benchmarks/test_gan_training.py -m benchmark -n 0 -s
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.test_training import ROUNDS, rate_of_fit, report, run

pytestmark = pytest.mark.benchmark

_GAN = ("--data.num_levels=256", "--data.batch_size=64", "--ema.modules=[generator]", "--quality.extractor=null")
DCGAN = (
    *_GAN, "--data.shape=[1,64,64]", "--model=GAN", "--model.num_latents=100", "--model.nets=DCGAN",
    "--model.nets.channels=16", "--model.nets.num_blocks=4", "--model.nets.discriminator_batch_norm=true",
)  # fmt: skip
MLP = (
    *_GAN, "--data.shape=[1,28,28]", "--model=GAN", "--model.num_latents=32", "--model.nets=MLPAdversarialNets",
    "--model.nets.hidden_sizes=[256,512,1024]",
)  # fmt: skip
SNGAN = (
    *_GAN, "--data.shape=[3,32,32]", "--model=SNGAN", "--model.num_latents=128", "--model.nets=SNGANNets",
    "--model.nets.generator_channels=[64,64,64,64]", "--model.nets.discriminator_channels=[64,64,64,64]",
    "--model.updates.discriminator_steps=5",
)  # fmt: skip
MNIST = (
    *_GAN, "--data.shape=[1,28,28]", "--model=GAN", "--model.num_latents=64", "--model.nets=DCGAN",
    "--model.nets.channels=32", "--model.penalty=R1", "--model.penalty.every=4",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "num_images", "least"),
    [("mlp", MLP, 20_000, 1.1), ("dcgan", DCGAN, 6_400, 1.0), ("sngan", SNGAN, 1_600, 1.0)],
)
def test_fit_against_a_plain_loop(
    name: str, options: tuple[str, ...], num_images: int, least: float, tmp_path: Path
) -> None:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(rate_of_fit(tmp_path, num_images, *options))
        theirs.append(float(run("-m", "benchmarks.gan_peers", name, str(num_images)).split("RATE")[1]))
    assert report(f"{name}, fit / plain loop", ours, theirs) >= least


def test_the_trainer_costs_little(tmp_path: Path) -> None:
    """At the size of mnist/gan.yaml, the same step in a bare loop without average, curves and checkpoints."""
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(rate_of_fit(tmp_path, 20_000, *MNIST))
        bare.append(float(run("-m", "benchmarks.gan_peers", "bare", "20000", *MNIST).split("RATE")[1]))
    assert report("GAN of MNIST, fit / its own step in a bare loop", ours, bare) >= 0.95
