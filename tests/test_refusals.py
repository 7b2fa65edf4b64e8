"""Wrong values of every kind are answered in one line that names the option; nothing is trained, no folder is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REPO

from lit_gen import fit
from lit_gen.cli.process import run_command

# Misspelt, of a wrong type, zero, negative, NaN, infinite, huge, missing, empty and nonsense, by recipe. The line names
# the last part of the option, or what stands behind the bar.
CASES = {
    "vae": """
        --trainer.max_epochs=0
        --trainer.max_epochs=nan
        --trainer.max_epochs=2.5
        --trainer.max_steps=0
        --trainer.max_steps=-7
        --trainer.accumulate_grad_batches=1.5
        --trainer.devices=-3
        --trainer.devices=many
        --trainer.devices=1000 | 1000 processes
        --trainer.num_nodes=0
        --trainer.num_nodes=-1
        --trainer.precision=8
        --trainer.precision=floaty
        --trainer.gradient_clip_val=nan
        --trainer.gradient_clip_val=inf
        --trainer.gradient_clip_algorithm=foo
        --trainer.val_check_interval=-1
        --trainer.limit_val_batches=nan
        --trainer.logger=foo
        --trainer.callbacks=foo
        --trainer.plugins=foo
        --trainer.profiler=foo
        --trainer.benchmark=maybe
        --trainer.deterministic=maybe
        --trainer.detect_anomaly=7
        --trainer.reload_dataloaders_every_n_epochs=-1
        --trainer.min_epochs=-1
        --trainer.inference_mode=7
        --trainer.sync_batchnorm=x
        --trainer.limit_test_batches=-4
        --trainer.limit_predict_batches=-4
        --trainer.fast_dev_run=-1
        --trainer.enable_checkpointing=false
        --model.num_latents=0
        --model.num_latents=-1
        --model.num_latents=1e3
        --model.num_latents=10000000000 | GB of memory
        --model.num_latents=nan
        --model.nets.hidden_sizes=[-3] | hidden_sizes
        --model.nets.hidden_sizes=5
        --model.nets.hidden_sizes=[1.5]
        --model.nets.hidden_sizes=[100000000] | GB of memory
        --model.nets.dropout=2
        --model.nets.dropout=-0.1
        --model.nets.dropout=nan
        --model.nets.activation=foo
        --model.observation=Bernoulli
        --model.observation=foo
        --model.optimizer.lr=-1 | learning rate
        --model.optimizer.lr=nan
        --model.optimizer.lr=inf
        --model.optimizer.betas=[2,3] | beta parameter
        --model.optimizer.betas=[0.9]
        --model.optimizer.weight_decay=-1
        --model.optimizer.eps=-1
        --model.optimizer=foo
        --model=Foo
        --model=lit_gen.nets.MLPNets
        --model.shape=[1]
        --model.foo=1
        --model.nets=foo
        --data.batch_size=0
        --data.batch_size=-1
        --data.batch_size=nan
        --data.batch_size=1.5
        --data=Foo
        --data=lit_gen.families.VAE
        --data.loader.eval_batch_size=0
        --data.loader.seed=-1
        --data.loader.placement=foo
        --budget.max_examples=0
        --budget.max_examples=-1
        --budget.max_examples=nan
        --budget.max_examples=1e400
        --budget.max_examples=many
        --ema.halflife_examples=0
        --ema.halflife_examples=-1
        --ema.halflife_examples=nan
        --ema.halflife_examples=inf
        --ema.modules=[foo]
        --ema.modules=7
        --schedule.warmup_examples=-1
        --schedule.warmup_examples=nan
        --schedule.decay=Foo
        --scoring.split=train
        --scoring.split=foo
        --scoring.num_samples=0
        --scoring.num_samples=-1
        --scoring.estimator=foo
        --scoring.draws=0
        --scoring.draws=-1
        --scoring.replicates=0
        --scoring.max_examples=1
        --scoring.max_examples=-1
        --scoring.weights=foo
        --scoring.seed=-1
        --scoring.seed=1e30
        --scoring.seed=nan
        --quality.num_samples=0
        --quality.every=0
        --quality.every=-1
        --quality.extractor=Foo
        --quality.extractor=LogMel
        --quality.statistics=[Foo]
        --quality.seed=-1
        --quality.during_training=maybe
        --checkpoint.mode=foo
        --checkpoint.save_top_k=-2
        --checkpoint.save_top_k=x
        --checkpoint.keep=foo
        --checkpoint.every_minutes=0
        --checkpoint.every_minutes=-1
        --checkpoint.every_minutes=nan
        --grid.num_samples=-1
        --grid.every=0
        --seed_everything=-1
        --seed_everything=99999999999
        --seed_everything=foo
        --seed_everything=false
        --wandb.mode=foo
        --compile=foo
        --tf32=maybe
        --weights_kind=foo
        --wandb.foo=1
        --budgett.max_examples=3
        --trainer.accumulate_grad_batches=0
        --trainer.accumulate_grad_batches=-2
        --trainer.gradient_clip_val=-1
        --trainer.log_every_n_steps=-1
        --trainer.check_val_every_n_epoch=-1
        --trainer.num_sanity_val_steps=-3
        --trainer.default_root_dir=
        --model.nets.hidden_sizes=[0]
        --model.nets.dropout=1
        --scoring.num_samples=100000000000
        --grid.num_samples=100000000000
        --quality.num_samples=100000000000
        --trainer.val_check_interval=0
    """,
    "gan": """
        --model.num_latents=0
        --model.updates.discriminator_steps=0
        --model.updates.discriminator_steps=-1
        --model.updates.clip_norm=-1
        --model.updates.clip_norm=nan
        --model.penalty.weight=-1
        --model.penalty.weight=nan
        --model.penalty.every=0
        --model.penalty=Foo
        --model.objective=Foo
        --model.nets.num_blocks=99
        --trainer.gradient_clip_val=1
        --trainer.accumulate_grad_batches=2
        --scoring.estimator=elbo
        --ema.modules=[generatr]
        --model.nets.channels=0
        --model.nets.num_blocks=0
    """,
    "flow": """
        --model.num_couplings=0
        --model.num_couplings=-1
        --model.num_bins=0 | 0 bins
        --model.num_bins=1 | 1 bins
        --model.nets.dropout=7
        --model.alpha=2
        --model.alpha=-1
        --model.alpha=nan
        --model.dequantization=Foo
        --scoring.draws=0
        --model.num_classes=3
        --model.num_classes=-1
        --model.temperature=-1
        --model.temperature=nan
        --model.nets.hidden_sizes=[0]
    """,
    "diffusion": """
        --model.nets.channels=0
        --model.nets.channels=-8
        --model.nets.num_groups=7
        --model.nets.multipliers=[]
        --model.nets.multipliers=[0]
        --model.nets.multipliers=[1,1,1,1,1,1,1]
        --model.nets.dropout=2
        --model.sampling.sampler=foo
        --model.sampling.steps=0
        --model.sampling.steps=-1
        --model.sampling.steps=nan
        --model.labels.num_classes=-1
        --model.schedule=Foo
        --model.schedule.width=0
        --model.ode.tolerance=-1
        --model.ode.tolerance=nan
        --model.nets.num_res_blocks=0
        --model.nets.num_res_blocks=-1
    """,
    "autoregressive": """
        --model.channels=0
        --model.channels=-1
        --model.dilations=[]
        --model.dilations=[0]
        --model.dilations=[-1]
        --model.kernel_size=2
        --model.kernel_size=-1
        --model.first_kernel_size=0
        --model.level_features=-1
        --model.head_channels=0 | 0 channels
        --model.temperature=nan
        --model.num_classes=-3 | num_classes
    """,
}
TABLE = [(recipe, line.strip()) for recipe, lines in CASES.items() for line in lines.strip().splitlines()]
# Ten steps at most, should one be accepted.
SMALL = ["--trainer.enable_progress_bar=false", "--budget.max_examples=64", "--scoring.num_samples=20"]


def test_the_table_has_not_shrunk() -> None:
    assert len(set(TABLE)) >= 150


@pytest.mark.parametrize(("recipe", "line"), TABLE, ids=[f"{recipe} {line}" for recipe, line in TABLE])
def test_a_wrong_value_is_answered_in_one_line(
    recipe: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option, _, says = line.partition(" | ")
    root = tmp_path / "runs"
    config = REPO / f"configs/recipes/digits/{recipe}.yaml"
    args = [f"--config={config}", f"--trainer.default_root_dir={root}", *SMALL, option]
    assert run_command(fit.main, args) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    found = [text for text in error.splitlines() if text.startswith("error: ")]
    assert len(found) == 1
    assert (says or option.split("=")[0].split(".")[-1].lstrip("-")) in found[0]
    assert not root.exists() or not list(root.iterdir())
