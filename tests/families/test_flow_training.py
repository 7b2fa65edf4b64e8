"""What training does to a flow besides descending: starts from data, once, and counts what broke."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from commands import run_module
from conftest import REPO
from torch import Tensor

from lit_gen.callbacks import EMA
from lit_gen.callbacks.step_seed import StepSeed
from lit_gen.data import DiscreteDataModule, Loader, Split
from lit_gen.errors import UserError
from lit_gen.families.flow import Flow
from lit_gen.nets import ActNorm
from lit_gen.noise import Noise
from lit_gen.scoring.scorer import Scorer
from lit_gen.scoring.settings import Scoring

from . import conformance as laws
from . import flows
from .conformance import adamw


class DarkAndBright(DiscreteDataModule):
    """Training data of levels 0..5, of which every batch has all; validation's are 10..15."""

    def __init__(self, shape: tuple[int, ...] = (1, 4, 4)) -> None:
        super().__init__(name="dark", shape=shape, num_levels=16, batch_size=50, loader=Loader(eval_batch_size=50))

    def read(self) -> dict[str, Split]:  # type: ignore[override]
        generator = torch.Generator().manual_seed(0)
        first = {"train": 0, "val": 10, "test": 10}
        return {
            name: Split(torch.randint(level, level + 6, (500, *self.shape), generator=generator).to(torch.uint8))
            for name, level in first.items()
        }


VALIDATES = {"limit_val_batches": 2, "num_sanity_val_steps": 2}


def built(name: str, seed: int = 0, **options: Any) -> Flow:
    torch.manual_seed(seed)
    shape = (1, 4, 4) if name in flows.MULTI_SCALE else (4,)
    return {**flows.MULTI_SCALE, **flows.OF_VECTORS}[name](shape, 16, **options)


def norms(model: torch.nn.Module) -> list[ActNorm]:
    return [m for m in model.modules() if isinstance(m, ActNorm)]


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[ActNorm]:
    """Which layers were started from data, in order."""
    seen: list[ActNorm] = []
    as_it_is = ActNorm._initialize

    def counted(self: ActNorm, x: Tensor) -> None:
        seen.append(self)
        as_it_is(self, x)

    monkeypatch.setattr(ActNorm, "_initialize", counted)
    return seen


class Watch(L.Callback):
    """Whether all layers had started when validation was first rehearsed."""

    at_sanity_check: bool | None = None

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.at_sanity_check = all(bool(layer.initialized) for layer in norms(pl_module))


@pytest.mark.parametrize("name", ["RealNVP in 2 scales", "Glow in 2 scales", "MLPRealNVP", "MAF"])
def test_layers_start_once_from_a_batch_of_training_data(name: str, starts: list[ActNorm]) -> None:
    model = built(name, optimizer=adamw(lr=0.0))
    data = DarkAndBright(model.shape)
    watch = Watch()
    laws.fit(model, data, 25, watch, **VALIDATES)  # more than two epochs of 10 batches, a validation after each
    assert watch.at_sanity_check, "validation's rehearsal sees a started model, and starts nothing"
    assert len(starts) == len({id(layer) for layer in starts}) == len(norms(model)) > 0

    # The first batch comes out of every layer normalized: it is that one, and none of validation's.
    batch = next(iter(DarkAndBright(model.shape).train_dataloader()))
    outputs: list[Tensor] = []
    for layer in norms(model):
        layer.register_forward_hook(lambda module, args, out: outputs.append(out.transpose(0, 1).flatten(1)))
    with torch.no_grad():
        model.log_weight(batch.x, model.dequantizer.noise_for(batch.x, Noise(0, batch.index)))
    assert len(outputs) == len(norms(model))
    for rows in outputs:
        assert rows.mean(1).abs().max() < 1e-3
        assert (rows.std(1, correction=0) - 1).abs().max() < 1e-3

    laws.fit(model, data, 2, **VALIDATES)
    assert len(starts) == len(norms(model)), "nor does a second fit start them again"


def test_a_resumed_run_does_not_start_again(starts: list[ActNorm], tmp_path: Path) -> None:
    """Stopped inside an epoch; it ends where an unbroken run does, to the bit."""
    unbroken = built("Glow in 2 scales")
    laws.fit(unbroken, DarkAndBright(), 9, StepSeed(0))
    stopped = built("Glow in 2 scales")
    laws.fit(stopped, DarkAndBright(), 4, StepSeed(0)).save_checkpoint(tmp_path / "last.ckpt")
    before = len(starts)
    resumed = built("Glow in 2 scales", seed=5)
    resumed.train()
    trainer = laws.trainer(9, StepSeed(0))
    trainer.fit(resumed, DarkAndBright(), ckpt_path=tmp_path / "last.ckpt")
    assert trainer.global_step == 9
    assert len(starts) == before == 2 * len(norms(resumed))
    state = resumed.state_dict()
    for name, value in unbroken.state_dict().items():
        assert torch.equal(state[name], value), name


def test_the_average_starts_from_the_started_weights() -> None:
    model, ema = built("Glow in 2 scales", optimizer=adamw(lr=0.0)), EMA(halflife_examples=1e6, every=1_000)
    laws.fit(model, DarkAndBright(), 2, ema, **VALIDATES)
    scales = {name: value for name, value in model.named_parameters() if name.endswith("norm.log_scale")}
    assert scales
    for name, value in scales.items():
        assert value.abs().max() > 0.1
        assert torch.equal(ema.average[name], value), name


# ------------------------------------------------------------------ two processes


class Probe(L.Callback):
    """Each process writes down the weights that training starts from, and those it ends with."""

    def _save(self, trainer: L.Trainer, pl_module: L.LightningModule, when: str) -> None:
        state = {name: t for name, t in pl_module.state_dict().items() if isinstance(t, Tensor)}
        torch.save(state, Path(trainer.default_root_dir) / f"{when}{trainer.global_rank}.pt")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save(trainer, pl_module, "start")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save(trainer, pl_module, "end")


@pytest.mark.slow
def test_two_processes_start_from_one_batch(tmp_path: Path) -> None:
    files = ("base.yaml", "data/digits.yaml", "families/flow/glow.yaml")
    args = [f"--config={REPO / 'configs' / file}" for file in files]
    args += [
        "--model.init_args.num_steps=2", "--model.init_args.nets.init_args.channels=8",
        "--data.init_args.batch_size=50", "--budget.max_examples=300", "--grid.num_samples=4",
        "--quality.extractor=null", "--scoring.num_samples=20", "--scoring.draws=2",
        f"--trainer.default_root_dir={tmp_path}", "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu", "--trainer.callbacks=families.test_flow_training.Probe",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPO / "tests")}
    for devices in (1, 2):
        more = [f"--trainer.devices={devices}", f"--run_name={devices}"]
        found = run_module("lit_gen.fit", *args, *more, env=environment)
        assert found.returncode == 0, found.stderr
    alone, *two = (
        torch.load(tmp_path / file, weights_only=True) for file in ("1/start0.pt", "2/start0.pt", "2/start1.pt")
    )
    for name, value in alone.items():
        assert torch.equal(two[0][name], two[1][name]), name
        assert torch.allclose(two[0][name].float(), value.float(), rtol=1e-4, atol=1e-4), name
    assert any(value.abs().max() > 0.1 for name, value in alone.items() if name.endswith("norm.bias"))
    ends = [torch.load(tmp_path / f"2/end{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name


# ------------------------------------------------------------------ what broke


def test_a_likelihood_that_is_no_number_is_counted_and_refused(tmp_path: Path) -> None:
    model, data = built("MLPRealNVP"), DarkAndBright((4,))
    with torch.no_grad():
        norms(model)[0].bias[2] = torch.nan
    (metrics,) = laws.trainer(1, limit_val_batches=1.0).validate(model, data, verbose=False)
    assert metrics["val/non_finite"] == 500
    assert not math.isfinite(metrics["val/bpd"])
    scorer = Scorer(data, Scoring(num_samples=20), None, None, "raw", None)
    with pytest.raises(UserError, match="500 of 500 test examples have no finite likelihood"):
        laws.trainer(1, scorer, default_root_dir=tmp_path).test(model, data, verbose=False)
