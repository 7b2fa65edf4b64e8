"""Two processes train one model and take the scores that one process takes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from commands import assert_same, options, run_fit, run_module, the_record
from conftest import REPO

from lit_gen import evaluate
from lit_gen.callbacks import EMA
from lit_gen.families.gan import GAN
from lit_gen.noise import Noise
from lit_gen.records.record import Record

TWO = ("--trainer.accelerator=cpu", "--trainer.devices=2")


class Probe(L.Callback):
    """Each process writes down its share of the first batch, its noise and, at the end, its weights."""

    def __init__(self) -> None:
        self.first: dict[str, Any] = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self.first:
            self.first = {"noise": torch.randn(8), "index": batch.index.clone()}

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        state = {name: t for name, t in pl_module.state_dict().items() if isinstance(t, torch.Tensor)}
        ema = next(c for c in trainer.callbacks if isinstance(c, EMA))  # type: ignore[attr-defined]
        found = {**self.first, "state": state, "average": ema.average, "find_unused": trainer.strategy._ddp_kwargs}  # type: ignore[attr-defined]
        torch.save(found, Path(trainer.default_root_dir) / f"rank{trainer.global_rank}.pt")


class LatentsOfExamples(GAN):
    """Latents that belong to the example, so that any number of processes makes the same samples."""

    def training_latents(self, batch: Any) -> torch.Tensor:
        return Noise(0, batch[2].cpu()).normal(self.num_latents)


class Gradients(L.Callback):
    """Each process writes down the gradients of its first steps, and what the family's own latents would have been."""

    def __init__(self) -> None:
        self.gradients: list[torch.Tensor] = []
        self.latents = torch.empty(0)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            state = torch.get_rng_state()
            self.latents = GAN.training_latents(pl_module, batch)
            torch.set_rng_state(state)

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        self.gradients.append(torch.cat([p.grad.flatten() for g in optimizer.param_groups for p in g["params"]]))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        found = {"gradients": self.gradients[:6], "latents": self.latents}
        torch.save(found, Path(trainer.default_root_dir) / f"gradients{trainer.global_rank}.pt")


def environment() -> dict[str, str]:
    """In which a run finds the probe."""
    return {**os.environ, "PYTHONPATH": str(REPO / "tests")}


def scores(record: Record) -> dict[str, tuple[float, str]]:
    return {s.name: (s.value, s.protocol.hash) for s in record.scores}


SLOW = [pytest.param(family, marks=pytest.mark.slow) for family in ("autoregressive", "flow", "diffusion")]


@pytest.mark.parametrize("family", ["vae", "gan", *SLOW])
def test_two_processes(family: str, tmp_path: Path) -> None:
    """1,000 training images, 350 of validation, 447 of test: odd shares of 447, each counted once."""
    args = options(family, tmp_path, "--run_name=run", "--budget.max_examples=600", "--scoring.num_samples=301")
    found = run_module("lit_gen.fit", *args, *TWO, "--trainer.callbacks=test_ddp.Probe", env=environment())
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    run = tmp_path / "run"
    record = the_record(tmp_path)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["run"], "one folder for both processes"

    # Training: equal weights, different noise, disjoint shares, whole batches counted.
    one, two = (torch.load(run / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    for what in ("state", "average"):  # batch norm's statistics included: they share the last validation's samples
        assert_same(one[what], two[what], what)
    assert not torch.equal(one["noise"], two["noise"])
    assert len(one["index"]) == len(two["index"]) == 25
    assert not set(one["index"].tolist()) & set(two["index"].tolist())
    assert one["find_unused"].get("find_unused_parameters", False) is (family == "gan")
    assert record.environment.world_size == 2
    assert record.cost.examples_seen == 600
    assert record.selection.step == 12

    # Scores: those of one process, under the same protocols; every test example once.
    alone = tmp_path / "alone" / "best.ckpt"
    alone.parent.mkdir()
    shutil.copy(run / "checkpoints" / "best.ckpt", alone)
    evaluate.main([str(alone), "--trainer.devices=1", "--trainer.callbacks=null"])
    single = scores(the_record(alone.parent))
    assert scores(record).keys() == single.keys()
    for name, (value, protocol) in scores(record).items():
        assert value == pytest.approx(single[name][0], rel=1e-6), name
        assert protocol == single[name][1], name
    assert {s.protocol.num_examples for s in record.scores if not s.name.startswith("is")} == {447}
    assert {s.protocol.num_samples for s in record.scores if s.name.startswith("fd")} == {301}


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one_at_the_same_global_batch(tmp_path: Path) -> None:
    """Plain ``--trainer.devices=2``, three steps of each network, in parts; the family's own latents differ."""
    nets = ["--model=test_ddp.LatentsOfExamples", "--model.nets=MLPAdversarialNets", "--model.penalty=R1"]
    few = ["--model.updates.micro_batches=2", "--budget.max_examples=150", "--trainer.callbacks=test_ddp.Gradients"]
    own = [*nets, *few, "--quality.extractor=null", "--data.init_args.batch_size=50"]
    for name, more in (("one", ()), ("two", TWO)):
        args = options("gan", tmp_path, f"--run_name={name}", *own, *more)
        found = run_module("lit_gen.fit", *args, env=environment())
        assert found.returncode == 0, found.stderr
    one, first, second = (
        torch.load(tmp_path / file, weights_only=True)
        for file in ("one/gradients0.pt", "two/gradients0.pt", "two/gradients1.pt")
    )
    assert len(one["gradients"]) == 6
    for whole, *shares in zip(one["gradients"], first["gradients"], second["gradients"], strict=True):
        for share in shares:
            assert torch.allclose(share, whole, rtol=1e-3, atol=1e-6 * float(whole.abs().max() * 100))
    assert not torch.allclose(first["latents"], second["latents"])
    assert not set(first["latents"][:, 0].tolist()) & set(second["latents"][:, 0].tolist())


@pytest.mark.slow
def test_two_processes_evaluate(tmp_path: Path) -> None:
    """``evaluate`` itself in two processes, on a checkpoint that one process made."""
    run = run_fit("vae", tmp_path, "run", "--budget.max_examples=300")
    before = scores(the_record(tmp_path))
    found = run_module("lit_gen.evaluate", str(run / "checkpoints" / "best.ckpt"), *TWO, env=environment())
    assert found.returncode == 0, found.stderr
    after = scores(the_record(tmp_path))
    assert after.keys() == before.keys()
    for name, (value, protocol) in after.items():
        assert value == pytest.approx(before[name][0], rel=1e-6), name
        assert protocol == before[name][1], name
