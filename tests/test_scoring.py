"""What surrounds a score: its floor, its precision, its devices, and what is said of where it was taken."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from commands import run_fit, the_record
from torch import Tensor

import lit_gen
from lit_gen import fit
from lit_gen.families.vae import VAE
from lit_gen.noise import Noise
from lit_gen.runs import provenance as recording
from lit_gen.scoring import scorer as scoring

# ------------------------------------------------------------------ the floor


def test_the_floor_is_of_images_from_anywhere_in_the_split() -> None:
    """The first rows of a folder sorted by class are of one class."""

    def rows(seed: int, length: int = 1000) -> list[int]:
        return scoring.some_rows(length, 100, seed).tolist()

    drawn = rows(seed=0)
    assert drawn == rows(seed=0), "the same on every process"
    assert drawn != rows(seed=1)
    assert len(set(drawn)) == 100
    assert len({row // 100 for row in drawn}) == 10, "each tenth of the split has its share"
    assert sorted(rows(seed=0, length=100)) == list(range(100))


# ------------------------------------------------------------------ precision and devices


@pytest.mark.parametrize(("precision", "computed"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_samples_are_drawn_in_the_protocol_s_precision(
    precision: str, computed: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning leaves autocast before it calls a hook, and the samples are drawn in one."""
    seen: set[torch.dtype] = set()

    def generate(self: VAE, noise: Noise, label: Tensor | None = None) -> Tensor:
        handle = self.decoder.register_forward_hook(lambda module, args, output: seen.add(output.dtype))
        try:
            return generate_as_it_is(self, noise)
        finally:
            handle.remove()

    generate_as_it_is = VAE.generate
    run = ["--budget.max_examples=100", "--quality.extractor=null", "--grid.num_samples=0"]
    monkeypatch.setattr(VAE, "generate", generate)
    run_fit("vae", tmp_path, "run", *run, f"--trainer.precision={precision}")
    assert {score.protocol.precision for score in the_record(tmp_path).scores} == {precision}
    assert seen == {computed}


def test_scores_are_taken_on_the_devices_that_were_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One device is not the first device."""
    asked: dict[str, Any] = {}
    trained: Any = L.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    monkeypatch.setattr(fit, "Trainer", lambda **options: asked.update(options) or trained)
    run: Any = SimpleNamespace(trainer=trained, trainer_options={"accelerator": "gpu", "devices": [1]})
    fit.scoring_trainer(run)
    assert (asked["accelerator"], asked["devices"]) == ("gpu", [1])


# ------------------------------------------------------------------ environment and commit


def trainer() -> L.Trainer:
    return L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


def test_versions_of_what_is_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def partly(package: str) -> str:
        if package in ("lit_gen", "datasets"):
            raise importlib.metadata.PackageNotFoundError(package)
        return version(package)

    assert "datasets" in recording.environment(trainer()).versions
    monkeypatch.setattr(importlib.metadata, "version", partly)
    found = recording.environment(trainer())
    assert found.versions["lit_gen"] == lit_gen.__version__
    assert found.versions["torch"] == version("torch")
    assert "datasets" not in found.versions
    assert found.world_size == 1


def git(folder: Path, *args: str) -> str:
    who = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *who, *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_lit_gen_s_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed copy inside somebody's project does not take that project's commit for its own."""
    copy = tmp_path / "env" / "lit_gen" / "recording.py"
    copy.parent.mkdir(parents=True)
    copy.write_text("here = 1\n")
    (tmp_path / "theirs.py").write_text("theirs = 1\n")
    monkeypatch.setattr(recording, "__file__", str(copy))
    assert recording.git_commit() is None
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "theirs.py")
    git(tmp_path, "commit", "--quiet", "-m", "theirs")
    assert recording.git_commit() is None
    git(tmp_path, "add", "env")
    git(tmp_path, "commit", "--quiet", "-m", "ours")
    assert recording.git_commit() == git(tmp_path, "rev-parse", "HEAD")
    copy.write_text("here = 2\n")
    assert recording.git_commit() == git(tmp_path, "rev-parse", "HEAD") + "-dirty"
