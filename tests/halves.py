"""A first stage whose codes and likelihoods are known in closed form, and runs of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from conftest import REPO
from torch import Tensor, nn

from lit_gen import fit
from lit_gen.contract import GenerativeModule
from lit_gen.encode.__main__ import main as encode
from lit_gen.likelihood import Likelihood
from lit_gen.noise import Noise

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
SHORT = ["--budget.max_examples=1000", "--quality.num_samples=20", "--scoring.num_samples=20"]
SHORT += ["--grid.num_samples=0"]


class Halves(GenerativeModule):
    """Codes are x // 2, and the decoder is uniform over the two values of a code.

    No other code produces x, so -log p(x) = -log p(codes) + D log 2 exactly. Its own prior over codes is one
    categorical for all dimensions.
    """

    estimators = ("exact",)

    def __init__(self, shape: tuple[int, ...], num_levels: int) -> None:
        super().__init__(shape, num_levels)
        self.num_code_values = (num_levels + 1) // 2
        self.logits = nn.Parameter(torch.zeros(self.num_code_values))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        likelihood = self.nll(batch[0], Noise(0, batch[2]))
        return likelihood.nats.mean()

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        codes = x.long() // 2  # not encode_integers, which subclasses get wrong
        prior = -self.logits.log_softmax(0)[codes].flatten(1).sum(1)
        return Likelihood(prior + self.decoder_nll(x, codes), "exact", "exact")

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        codes = (noise.uniform(*self.shape) * self.num_code_values).long()
        return self.decode_integers(codes)

    def encode_integers(self, x: Tensor, noise: Noise) -> Tensor:
        return x.long() // 2

    def decode_integers(self, codes: Tensor) -> Tensor:
        return (2 * codes).to(torch.uint8)

    def decoder_nll(self, x: Tensor, codes: Tensor) -> Tensor:
        # The last of an odd number of values has a code of its own.
        choices = torch.where(2 * codes == self.num_levels - 1, 0.0, math.log(2))
        return choices.flatten(1).sum(1).where((x // 2 == codes).flatten(1).all(1), math.inf)


class Noisy(Halves):
    """A stochastic encoder: a code is the right one or 0."""

    def encode_integers(self, x: Tensor, noise: Noise) -> Tensor:
        return super().encode_integers(x, noise) * (noise.uniform(*self.shape) < 0.5)


class TooMany(Halves):
    """A codebook that uint8 cannot hold."""

    def __init__(self, shape: tuple[int, ...], num_levels: int) -> None:
        super().__init__(shape, num_levels)
        self.num_code_values = 512


class Continuous(Halves):
    """Codes that are not integers."""

    def encode_integers(self, x: Tensor, noise: Noise) -> Tensor:
        return super().encode_integers(x, noise) / 1.0


class Outside(Halves):
    """Codes outside the declared values, in the validation split alone."""

    def encode_integers(self, x: Tensor, noise: Noise) -> Tensor:
        return super().encode_integers(x, noise) + (len(x) != 250)


def train(root: Path, model: str, *data: str) -> Path:
    """Trains a model for a moment; returns its checkpoint."""
    options = [f"--trainer.default_root_dir={root}", f"--run_name={model}", *SHORT, *QUIET]
    fit.main([f"--config={REPO / 'configs/base.yaml'}", *options, f"--model={model}", *data])
    return root / model / "checkpoints" / "best.ckpt"


def train_and_encode(root: Path, model: str, *data: str) -> Path:
    """Trains a first stage and encodes its data; returns the folder of codes."""
    options = ["--trainer.accelerator=cpu", "--allow=halves"]
    encode([str(train(root, model, *data)), "--out", str(root / "codes"), *options])
    return root / "codes"
