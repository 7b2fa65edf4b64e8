"""Our DDPM as a contestant: options of ``fit``, and a program that draws samples or only evaluates the network.

    python -m benchmarks.diffusion_ours bare|ancestral|ddim|guided
"""

from __future__ import annotations

import itertools
import math
import sys

import torch

from benchmarks.diffusion_peers import EVALUATIONS, SAMPLES
from benchmarks.ours import Turns, count
from benchmarks.turns import take_turns
from lit_gen.cli.process import configure_process
from lit_gen.families import DDPM
from lit_gen.families.diffusion import Labels, LinearBetas, Sampling
from lit_gen.nets import UNetNets

# The gradients' norm is clipped, as in the paper's code and in both peers'.
OPTIONS = [
    *("--model=DDPM", "--model.schedule=lit_gen.families.diffusion.LinearBetas", "--model.nets=UNetNets"),
    *("--model.nets.channels=32", "--model.nets.multipliers=[1,2,2]", "--model.nets.num_res_blocks=1"),
    *("--model.nets.attention=[7]", "--model.nets.num_groups=8", "--trainer.gradient_clip_val=1.0"),
    *("--data.num_levels=256", "--data.batch_size=32"),
]
SAMPLINGS = {
    "ancestral": Sampling("ancestral", EVALUATIONS),
    "ddim": Sampling("ddim", EVALUATIONS),
    "guided": Sampling("ddim", EVALUATIONS // 2, guidance=2.0),
}


class LossTurns(Turns):
    """Of a training whose loss is no likelihood."""

    def bpd(self, loss: float, shape: tuple[int, ...]) -> float:
        return math.nan


def build(sampling: Sampling) -> DDPM:
    """The model of the options above, with classes where it is to be guided by them."""
    nets, num_classes = UNetNets(32, (1, 2, 2), 1, (7,), num_groups=8), 10 if sampling.guidance != 1 else 0
    return DDPM((1, 28, 28), 256, nets, LinearBetas(), labels=Labels(num_classes), sampling=sampling)


@torch.inference_mode()
def evaluate(net: torch.nn.Module) -> int:
    """As many evaluations of the network as a sampler makes, and nothing else."""
    z, time = torch.randn(SAMPLES, 1, 28, 28), torch.full((SAMPLES,), 500.0)
    for _ in range(EVALUATIONS):
        net(z, time)
    return SAMPLES * EVALUATIONS


if __name__ == "__main__":
    configure_process(["--trainer.accelerator=cpu"])
    how = sys.argv[1]
    model, seeds = build(SAMPLINGS.get(how, SAMPLINGS["ddim"])).eval(), itertools.count()

    def draw() -> int:
        """Network evaluations of one image; under guidance there are two a step."""
        if how == "bare":
            return evaluate(model.net)
        return len(model.sample(SAMPLES, seed=next(seeds))) * EVALUATIONS

    take_turns(draw, count(model), lambda: math.nan)
