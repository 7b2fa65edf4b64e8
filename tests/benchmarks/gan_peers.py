"""Plain loops around the nets of GANs, each run as a program of its own: prints training images a second."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from gpu.steps import bare
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.sets import random_images
from lit_gen.cli.build import run_from_args
from lit_gen.cli.process import configure_process
from lit_gen.nets import DCGAN, MLPAdversarialNets, SNGANNets

Loss = Callable[[Tensor], Tensor]


def plain(
    networks: tuple[nn.Module, nn.Module], x: Tensor, num_latents: int, losses: tuple[Loss, Loss, Loss], steps: int = 1
) -> float:
    """PyTorch's usual loop: TensorDataset, DataLoader, two Adams; batches of 64.

    Args:
        networks: Generator and discriminator.
        x: Training images, real numbers.
        num_latents: Dimensions of the latents.
        losses: Of the discriminator's outputs for data and for samples, and of the generator.
        steps: Discriminator steps for each of the generator.
    """
    generator, discriminator = networks
    of_real, of_fake, of_generator = losses
    opt_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    loader = DataLoader(TensorDataset(x), batch_size=64, shuffle=True, drop_last=True)
    since = time.perf_counter()
    for number, (real,) in enumerate(loader, 1):
        opt_d.zero_grad()
        of_real(discriminator(real)).backward()
        fake = generator(torch.randn(64, num_latents))
        of_fake(discriminator(fake.detach())).backward()
        opt_d.step()
        if number % steps == 0:
            opt_g.zero_grad()
            of_generator(discriminator(fake)).backward()
            opt_g.step()
    return len(loader) * 64 / (time.perf_counter() - since)


def _cross_entropies() -> tuple[Loss, Loss, Loss]:
    loss, ones, zeros = nn.BCEWithLogitsLoss(), torch.ones(64), torch.zeros(64)
    return (lambda d: loss(d, ones)), (lambda d: loss(d, zeros)), (lambda d: loss(d, ones))


def dcgan(num_images: int) -> float:
    """DCGAN at 64x64."""
    nets = DCGAN(channels=16, num_blocks=4, discriminator_batch_norm=True)
    shape = (1, 64, 64)
    networks = nets.generator(100, shape), nets.discriminator(shape)
    return plain(networks, _scaled(num_images, shape), 100, _cross_entropies())


def mlp(num_images: int) -> float:
    """Fully connected networks at 28x28."""
    nets, shape = MLPAdversarialNets([256, 512, 1024]), (1, 28, 28)
    networks = nets.generator(32, shape), nets.discriminator(shape)
    return plain(networks, _scaled(num_images, shape), 32, _cross_entropies())


def sngan(num_images: int) -> float:
    """SNGAN's residual nets at 32x32 with torch's own spectral norm, hinge loss and five critic steps."""
    nets, shape = SNGANNets([64, 64, 64, 64], [64, 64, 64, 64], spectral_norm=False), (3, 32, 32)
    generator, discriminator = nets.generator(128, shape), nets.discriminator(shape)
    for module in list(discriminator.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            spectral_norm(module)
    losses = (lambda d: F.relu(1 - d).mean()), (lambda d: F.relu(1 + d).mean()), (lambda d: -d.mean())
    return plain((generator, discriminator), _scaled(num_images, shape), 128, losses, steps=5)


def _scaled(num_images: int, shape: tuple[int, ...]) -> Tensor:
    return random_images(num_images, shape, 256).float() / 127.5 - 1


def bare_step(num_images: int, *options: str) -> float:
    """The training step of a run's own module in a loop, without Trainer, callbacks, average and curves.

    The process is set up as ``fit`` sets it up, so that the difference is the Trainer's.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            f"--trainer.default_root_dir={folder}", "--trainer.accelerator=cpu", "--data=benchmarks.sets.RandomImages",
            f"--data.num_train={num_images}", *options,
        ]  # fmt: skip
        configure_process(arguments)
        run = run_from_args(arguments)
        steps = num_images // run.data.batch_size
        return bare(run, "cpu", "32-true", 0, steps).images_per_second


if __name__ == "__main__":
    name, count, *rest = sys.argv[1:]
    loops: dict[str, Callable[..., float]] = {"dcgan": dcgan, "mlp": mlp, "sngan": sngan, "bare": bare_step}
    print("RATE", loops[name](int(count), *rest))
