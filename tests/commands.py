"""Runs the commands as tests need them: small, in a folder of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from conftest import REPO

from lit_gen import fit
from lit_gen.records.record import Record, read_record

FAMILIES = ("vae", "gan", "autoregressive", "flow", "diffusion")
RECIPES = {family: REPO / f"configs/recipes/digits/{family}.yaml" for family in FAMILIES}
SMALL = [
    "--data.init_args.batch_size=50",
    "--budget.max_examples=1500",
    "--ema.halflife_examples=300",
    "--quality.num_samples=40",
    "--scoring.num_samples=40",
    "--grid.num_samples=9",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]


def options(family: str, root: Path, *more: str) -> list[str]:
    """The command line of a small run of a family's recipe."""
    return ["--config", str(RECIPES[family]), f"--trainer.default_root_dir={root}", *SMALL, *more]


def run_fit(family: str, root: Path, name: str, *more: str) -> Path:
    """Runs ``fit`` in this process; returns the run's folder."""
    fit.main(options(family, root, f"--run_name={name}", *more))
    return root / name


def run_module(module: str, *args: str, timeout: float = 300, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m module args`` and returns what it printed."""
    return subprocess.run(
        [sys.executable, "-m", module, *args], capture_output=True, text=True, timeout=timeout, cwd=REPO, **kwargs
    )


def the_record(root: Path) -> Record:
    """The one record below a folder.

    Raises:
        AssertionError: There is none, or more than one.
    """
    found = list(root.rglob("record.json"))
    assert len(found) == 1, found
    return read_record(found[0])


def checkpoint(run: Path, name: str = "last") -> dict[str, Any]:
    """A run's checkpoint."""
    content: dict[str, Any] = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return content


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Two nested structures agree to the bit, tensors included.

    Raises:
        AssertionError: Naming the place of the first difference.
    """
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), f"{where}: {(a - b).abs().max()}"
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where
