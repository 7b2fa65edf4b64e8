"""A score SDE as a contestant: options of ``fit``, and the same module in a plain loop.

    python -m benchmarks.score_sde_ours ROOT
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from conftest import REPO
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.ours import count
from benchmarks.sets import random_images
from benchmarks.turns import take_turns
from lit_gen.cli.build import run_from_args
from lit_gen.cli.process import configure_process
from lit_gen.contract import GenerativeModule

# Model, optimizer, clipping of gradients and batches of 16 are the recipe's; its data are replaced by random images.
OPTIONS = [
    f"--config={REPO / 'configs/recipes/mnist/score_sde.yaml'}", "--quality.extractor=null",
    "--data=benchmarks.sets.RandomImages", "--data.num_train=60000", "--data.num_levels=256", "--data.batch_size=16",
    "--trainer.accelerator=cpu",
]  # fmt: skip
BATCH, CLIP = 16, 1.0


def plain_loop(model: GenerativeModule) -> Callable[[], int]:
    """A step of the module's own ``training_step``: no Trainer, callbacks, curves, schedule or average of weights.

    Returns:
        A function that does a step and returns the number of its images.
    """
    x = random_images(60_000, (1, 28, 28), 256)
    loader = DataLoader(TensorDataset(x, torch.arange(len(x))), batch_size=BATCH, shuffle=True, drop_last=True)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    module: Any = model.train()
    optimizer = module.configure_optimizers()

    def step() -> int:
        images, index = next(batches)
        module.training_step((images, None, index), 0).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        return len(images)

    return step


if __name__ == "__main__":
    arguments = [*OPTIONS, f"--trainer.default_root_dir={sys.argv[1]}"]
    configure_process(arguments)
    run = run_from_args(arguments)
    take_turns(plain_loop(run.model), count(run.model), lambda: math.nan)
