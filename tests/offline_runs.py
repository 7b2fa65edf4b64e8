"""Reads what a W&B run wrote to disk, by W&B's own reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class OfflineRun:
    """The rows of a run's history, and which column each pattern of columns is drawn over."""

    rows: list[dict[str, Any]]
    axes: dict[str, str]

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows if name in row]


def inspect(folder: Path, *options: str, part: Path | None = None) -> str:
    """What ``wandb leet inspect`` prints of the one offline run below a run's folder, or of a part of one."""
    (run,) = [part] if part is not None else folder.glob("wandb/offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", *options, "--json", str(run)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def read_offline_run(folder: Path) -> OfflineRun:
    """The one offline run below a run's folder."""
    lines = [json.loads(line) for line in inspect(folder).splitlines()]
    metrics = [line["metric"] for line in lines if line["type"] == "metric"]
    return OfflineRun(
        rows=[line["history"]["item"] for line in lines if line["type"] == "history"],
        axes={metric["glob_name"]: metric["step_metric"] for metric in metrics if "glob_name" in metric},
    )
