"""Where, when and with which code something ran."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import subprocess
from datetime import datetime
from pathlib import Path

import lightning as L
import torch

import lit_gen
from lit_gen.records.environment import Environment

_PACKAGES = ("torch", "lightning", "torchmetrics", "torch-fidelity", "datasets", "numpy")


def now() -> str:
    """The time with its offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def environment(trainer: L.Trainer) -> Environment:
    """Versions and machine, for the record."""
    versions = {"python": platform.python_version(), "lit_gen": lit_gen.__version__}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # torch's may be a build without metadata
            versions[package] = importlib.metadata.version(package)
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Environment(
        versions=versions,
        machine=f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        accelerator=name,
        world_size=trainer.world_size,
    )


def git_commit() -> str | None:
    """Commit of lit_gen's code, with ``-dirty`` appended if files differ; None outside its repository."""
    file = Path(__file__)
    where = ["git", "-C", str(file.parent)]
    try:
        # An installed copy may lie inside another repository, whose commit is unrelated.
        subprocess.run([*where, "ls-files", "--error-unmatch", file.name], capture_output=True, check=True)
        head = subprocess.run([*where, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*where, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")
