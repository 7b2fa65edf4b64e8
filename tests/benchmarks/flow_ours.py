"""Our flows as contestants: a program that draws samples, and the options of ``fit``.

    python -m benchmarks.flow_ours realnvp|nsf|maf
"""

from __future__ import annotations

import itertools
import math
import sys

from benchmarks.flow_peers import SAMPLES
from benchmarks.ours import count
from benchmarks.turns import take_turns
from lit_gen.cli.process import configure_process
from lit_gen.contract import GenerativeModule
from lit_gen.families import MAF, MLPRealNVP, MLPSplineFlow
from lit_gen.nets import MLPCouplings

OPTIONS = {
    "realnvp": ["--model=MLPRealNVP", "--model.num_couplings=8", "--model.nets.hidden_sizes=[512,512]"],
    "nsf": [
        *("--model=MLPSplineFlow", "--model.num_couplings=4", "--model.num_bins=8", "--model.bound=3"),
        "--model.nets.hidden_sizes=[256,256]",
    ],
    "maf": ["--model=MAF", "--model.num_layers=5", "--model.hidden_sizes=[512,512]"],
}


def build(arch: str) -> GenerativeModule:
    """The model of the options above."""
    if arch == "realnvp":
        return MLPRealNVP((1, 28, 28), 256, num_couplings=8, nets=MLPCouplings((512, 512)))
    if arch == "nsf":
        return MLPSplineFlow((1, 28, 28), 256, num_couplings=4, num_bins=8, bound=3, nets=MLPCouplings((256, 256)))
    return MAF((1, 28, 28), 256, num_layers=5, hidden_sizes=(512, 512))


if __name__ == "__main__":
    configure_process(["--trainer.accelerator=cpu"])
    model, seeds = build(sys.argv[1]), itertools.count()
    take_turns(lambda: len(model.sample(SAMPLES[sys.argv[1]], seed=next(seeds))), count(model), lambda: math.nan)
