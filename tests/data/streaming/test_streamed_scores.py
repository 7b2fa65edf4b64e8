"""Streamed images give the scores, protocols and reference statistics of the in-memory data modules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import the_record
from conftest import REPO
from torch import multiprocessing

from lit_gen import evaluate, fit
from lit_gen.cli.process import run_command
from lit_gen.metrics.reference import reference_summaries
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace
from lit_gen.metrics.statistics.frechet import FrechetDistance
from lit_gen.records.record import Record

from . import gloo_share
from .sets import SIZES, TRANSFORM, in_memory, streamed, write_all


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_all(folder)
    return folder


class Pixels(FeatureSpace):
    """The first five integers as features."""

    name, sha256, num_features, num_classes, internal_batch = "pixels", "0" * 64, 5, 2, 8

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()), requires_grad=False)  # says where it is

    def extract(self, x: torch.Tensor) -> Features:
        return Features(x.flatten(1)[:, :5].float(), x.flatten(1)[:, :2].float())


def test_reference_statistics_are_equal_and_share_a_file(root: Path, tmp_path: Path) -> None:
    found = []
    for data in (in_memory(root / "tar"), streamed(root / "tar", held_gb=0.0)):
        x = data.split("test").x
        found.append(reference_summaries(x, Pixels(), [FrechetDistance], "test", tmp_path / str(len(found)), block=7))
    files = [{file.name for file in (tmp_path / str(i)).iterdir()} for i in range(2)]
    assert files[0] == files[1]
    assert found[0][0].keys() == found[1][0].keys()
    for name, value in found[0][0].items():
        assert torch.equal(value, found[1][0][name])


def scores(record: Record) -> dict[str, tuple[float, str]]:
    found = (*record.scores, *record.baselines)
    return {f"{s.name} {s.protocol.split} {s.protocol.sampler}": (s.value, s.protocol.hash) for s in found}


def options(folder: Path, held_gb: float) -> list[str]:
    t = TRANSFORM
    transform = [f"--data.transform.{k}={getattr(t, k)}" for k in ("size", "channels", "crop", "resize")]
    return [
        *("--config", str(REPO / "configs/recipes/digits/vae.yaml")),
        *("--config", str(REPO / "configs/data/streaming.yaml"), f"--data.path={folder}", *transform),
        *("--data.batch_size=24", "--data.loader.buffer=64", "--data.loader.num_workers=0"),
        *(f"--data.loader.max_held_out_gb={held_gb}", "--quality.extractor=null", "--scoring.num_samples=20"),
        *("--budget.max_examples=480", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"),
    ]


def test_a_run_has_the_scores_and_protocols_of_the_in_memory_module(root: Path, tmp_path: Path) -> None:
    fit.main([*options(root / "parquet", 0.0), f"--trainer.default_root_dir={tmp_path}", "--run_name=run"])
    run = tmp_path / "run"
    streaming = scores(the_record(tmp_path))
    assert len(streaming) >= 3
    assert not (run / "train_examples.npy").exists()
    evaluate.main([str(run / "checkpoints" / "best.ckpt"), "--data.loader.max_held_out_gb=2"])
    assert scores(the_record(tmp_path)) == streaming
    memory = [f"--data.{name}={value}" for name, value in (("path", root / "parquet"), ("splits.val", "validation"))]
    memory += [f"--data.transform.{k}={getattr(TRANSFORM, k)}" for k in ("size", "channels", "crop", "resize")]
    evaluate.main(
        [str(run / "checkpoints" / "best.ckpt"), "--data=HubImages", "--data.name=my_images", *memory]
    )
    assert scores(the_record(tmp_path)) == streaming


def test_bad_input_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "shards").mkdir()
    arguments = [*options(tmp_path / "shards", 2.0), f"--trainer.default_root_dir={tmp_path / 'runs'}"]
    assert run_command(fit.main, arguments) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("Seed set", "INFO"))]
    assert len(said) == 1
    assert said[0].startswith("error: no shards and no images in")
    assert not (tmp_path / "runs").exists()


def test_two_processes_see_disjoint_images_and_together_all(root: Path, tmp_path: Path) -> None:
    # Forked: the processes need not import everything again.
    arguments = (str(root / "tar"), str(tmp_path))
    multiprocessing.start_processes(gloo_share.main, arguments, nprocs=2, start_method="fork")  # type: ignore[attr-defined]
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert one["sum"] == two["sum"] == len(one["index"]) + len(two["index"])
    assert not set(one["index"]) & set(two["index"])
    alone = torch.cat([batch.index for batch in streamed(root / "tar").train_dataloader()])
    assert sorted(one["index"] + two["index"]) == sorted(alone.tolist()) == list(range(SIZES["train"]))
    assert sorted(one["val"] + two["val"]) == list(range(SIZES["validation"]))
