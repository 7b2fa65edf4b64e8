"""Training of a score SDE (sub-VP, DDPM++ of the MNIST recipe, batches of 16) against its own step in a plain loop.

    python -m pytest tests/benchmarks/test_score_sde.py -m benchmark -n 0 -s

Turns, threads and ratios as in ``test_flows``. Both programs build the same module from the same options, and both clip
gradients. ``fit`` runs as a user has it: curves, progress bar, schedule, EMA, checkpoints and an offline W&B run; the
plain loop has none of these. Once in a run, after 12 s of it, ``fit`` times samples and likelihoods to say how long it
will take; this is not training, takes some seconds here, and falls into windows that are not counted.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from conftest import REPO

from benchmarks.score_sde_ours import BATCH, CLIP, OPTIONS, plain_loop
from benchmarks.test_training import ENVIRONMENT
from benchmarks.turns import Results, contest
from lit_gen.cli.build import run_from_args

ROUNDS, UNCOUNTED = 25, 4


def fit(root: Path) -> list[str]:
    """The command of our training."""
    return [
        *("-m", "lit_gen.fit", f"--trainer.default_root_dir={root}", *OPTIONS),
        *("--budget.max_examples=100000000", "--trainer.max_epochs=-1", "--trainer.check_val_every_n_epoch=1000"),
        *("--ema.halflife_examples=10000", "--trainer.callbacks=benchmarks.diffusion_ours.LossTurns"),
    ]


@pytest.mark.benchmark
def test_training_is_not_behind_a_plain_loop(tmp_path: Path) -> None:
    commands = {"fit": fit(tmp_path), "plain loop": ["-m", "benchmarks.score_sde_ours", str(tmp_path)]}
    with contest(commands, ENVIRONMENT, tmp_path) as contestants:
        for contestant in contestants.values():
            for _ in range(UNCOUNTED):
                contestant.turn()
        results = Results(contestants, ROUNDS, ours=("fit",))
    print(results.table("Score SDE, training"))
    first, second = (results.windows[name][0].parameters for name in commands)
    assert first == second
    assert results.ratio("fit") >= 0.95


def test_the_plain_loop_trains_the_module_of_the_recipe(tmp_path: Path) -> None:
    recipe = yaml.safe_load((REPO / "configs/recipes/mnist/score_sde.yaml").read_text())
    assert recipe["data"]["init_args"]["batch_size"] == BATCH
    assert recipe["trainer"]["gradient_clip_val"] == CLIP
    model = run_from_args([*OPTIONS, f"--trainer.default_root_dir={tmp_path}"]).model
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    step = plain_loop(model)
    # Layers that start at zero hide those before them from the first gradients.
    assert [step() for _ in range(4)] == [BATCH] * 4
    assert 500_000 < sum(map(torch.numel, before.values())) < 1_000_000
    moved = [name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])]
    assert len(moved) >= 0.95 * len(before)
