"""Our autoregressive models as contestants: options of ``fit``, and a program that draws samples.

    python -m benchmarks.ar_ours pixelcnn|transformer cached|naive
"""

from __future__ import annotations

import itertools
import math
import sys

import torch

from benchmarks.ours import count
from benchmarks.turns import take_turns
from lit_gen.cli.process import configure_process
from lit_gen.families import PixelCNN, Transformer
from lit_gen.families.autoregressive import Autoregressive
from lit_gen.noise import Noise

OPTIONS = {
    "pixelcnn": [
        *("--model=PixelCNN", "--model.channels=16", "--model.num_blocks=15", "--model.head_channels=32"),
        *("--data.num_levels=2", "--data.batch_size=32"),
    ],
    "transformer": [
        *("--model=Transformer", "--model.width=64", "--model.num_blocks=4", "--model.num_heads=4"),
        *("--data.num_levels=256", "--data.batch_size=16"),
    ],
}
SAMPLES = 64


def build(arch: str) -> Autoregressive:
    """The model of the options above."""
    if arch == "pixelcnn":
        return PixelCNN((1, 28, 28), 2, channels=16, num_blocks=15, head_channels=32)
    return Transformer((1, 28, 28), 256, width=64, num_blocks=4, num_heads=4)


def naive_pass(model: Autoregressive) -> None:
    """One of the D passes that a sampler without a cache makes."""
    with torch.no_grad():
        model.logits(torch.zeros(SAMPLES, *model.shape, dtype=torch.uint8))


if __name__ == "__main__":
    configure_process(["--trainer.accelerator=cpu"])
    arch, how = sys.argv[1:]
    model, seeds = build(arch).eval(), itertools.count()

    def draw() -> int:
        """Whole samples, or the share of them that one pass of the naive sampler is worth, in thousandths."""
        if how == "naive":
            naive_pass(model)
            return 1
        return len(model.generate(Noise(next(seeds), range(SAMPLES))))

    take_turns(draw, count(model), lambda: math.nan)
