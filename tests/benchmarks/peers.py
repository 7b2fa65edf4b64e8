"""The peers' own loops, each run as a program of its own: prints training images a second."""

from __future__ import annotations

import sys
import tempfile
import time

import torch

from benchmarks.sets import random_images


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


if __name__ == "__main__":
    contestants = {"pythae_vae": pythae_vae}
    print("RATE", contestants[sys.argv[1]](int(sys.argv[2])))
