"""The peers' own loops, each run as a program of its own: prints training images a second."""

from __future__ import annotations

import sys
import tempfile
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.sets import random_images
from lit_gen.nets import DCGAN


def pythae_vae(num_images: int) -> float:
    """pythae's default VAE (784-512-16-512-784), its trainer and loader; Adam 1e-3, batches of 128."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Clock(TrainingCallback):
        seconds = 0.0

        def on_epoch_begin(self, *args: object, **kwargs: object) -> None:
            self.since = time.perf_counter()

        def on_epoch_end(self, *args: object, **kwargs: object) -> None:
            self.seconds += time.perf_counter() - self.since

    x = random_images(num_images, (1, 28, 28), 2).float()
    clock = Clock()
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=128,
        num_epochs=1,
        learning_rate=1e-3,
        no_cuda=True,
    )
    model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss="bce"))
    BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=config, callbacks=[clock]).train()
    return num_images / clock.seconds


def plain_dcgan(num_images: int) -> float:
    """PyTorch's usual DCGAN loop on the same nets: TensorDataset, DataLoader, two Adams, cross-entropy."""
    nets = DCGAN(channels=16, num_blocks=4, discriminator_batch_norm=True)
    generator, discriminator = nets.generator(100, (1, 64, 64)), nets.discriminator((1, 64, 64))
    opt_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    x = random_images(num_images, (1, 64, 64), 256).float() / 127.5 - 1
    loader = DataLoader(TensorDataset(x), batch_size=64, shuffle=True, drop_last=True)
    loss = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(64), torch.zeros(64)
    since = time.perf_counter()
    for (real,) in loader:
        opt_d.zero_grad()
        loss(discriminator(real), ones).backward()
        fake = generator(torch.randn(64, 100))
        loss(discriminator(fake.detach()), zeros).backward()
        opt_d.step()
        opt_g.zero_grad()
        loss(discriminator(fake), ones).backward()
        opt_g.step()
    return len(loader) * 64 / (time.perf_counter() - since)


if __name__ == "__main__":
    contestants = {"pythae_vae": pythae_vae, "plain_dcgan": plain_dcgan}
    print("RATE", contestants[sys.argv[1]](int(sys.argv[2])))
