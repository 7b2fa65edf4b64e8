"""Loggers of curves: a CSV file in the run's folder, and Weights & Biases, online or offline."""

from __future__ import annotations

import importlib.util
import json
import netrc
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lit_gen.callbacks.metrics_file import MetricsFile
from lit_gen.errors import UserError, nearest
from lit_gen.records.atomic import write_atomically

IDENTITY = "wandb.json"
"""File in a run's folder that says which run it is in W&B."""
MODES = ("auto", "online", "offline", "disabled")
_SAME_AS = {"dryrun": "offline", "run": "online", "shared": "online"}  # other values of WANDB_MODE


@dataclass(frozen=True)
class Wandb:
    """Options of Weights & Biases.

    Attributes:
        mode: ``online``; ``offline``: written below the run's folder, for ``wandb sync`` later; ``disabled``;
            ``auto``: WANDB_MODE if set, else online if there is an API key, else offline.
        project: Name of the project; in a sweep, the sweep's project is used.
        name: Name of the run; the name of the run's folder if not given.
        group: Group of the run.
        tags: Tags of the run.
        timeout: Seconds to wait for the server at the start before the run continues offline.
        upload_timeout: Seconds to wait for uploads at the end; all data are on disk in any case.
    """

    mode: str = "auto"
    project: str = "lit_gen"
    name: str | None = None
    group: str | None = None
    tags: list[str] | None = None
    timeout: float = 20.0
    upload_timeout: float = 60.0

    def __post_init__(self) -> None:
        """Validates the mode and the timeouts.

        Raises:
            UserError: If the mode is unknown, or a timeout is not a positive number.
        """
        if self.mode not in MODES:
            hint = nearest(self.mode, MODES)
            raise UserError(f"wandb.mode is '{self.mode}'; it is one of {', '.join(MODES)}{hint}")
        for name in ("timeout", "upload_timeout"):
            if not getattr(self, name) > 0:
                raise UserError(f"wandb.{name} is {getattr(self, name)}; give a positive number of seconds")

    def resolved_mode(self) -> str:
        """The mode to use: ``online``, ``offline`` or ``disabled``; the last where the package is not installed.

        Raises:
            UserError: If WANDB_MODE has another value, or a mode that needs the package was chosen without it.
        """
        mode = self._asked_mode()
        if mode == "disabled" or installed("wandb"):
            return mode
        if self.mode == "auto" and not os.environ.get("WANDB_MODE"):
            return "disabled"
        advice = "pip install wandb, or --wandb.mode=disabled"
        raise UserError(f"wandb.mode is {mode}, and wandb is not installed: {advice}")

    def _asked_mode(self) -> str:
        if self.mode != "auto":
            return self.mode
        asked = os.environ.get("WANDB_MODE")
        if not asked:
            return "online" if _has_key() else "offline"
        mode = _SAME_AS.get(asked, asked)
        if mode not in MODES[1:]:
            hint = nearest(asked, MODES[1:])
            raise UserError(f"WANDB_MODE is '{asked}'; it is one of {', '.join(MODES[1:])}{hint}")
        return mode


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # it is hidden
        return False


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def loggers(folder: Path, wandb: Wandb, config: dict[str, Any]) -> list[Logger]:
    """Builds the loggers of a run: ``metrics.csv`` always, W&B if enabled; a resumed run continues its W&B run.

    Args:
        folder: The run's folder.
        wandb: Options of W&B.
        config: The run's configuration, as shown by W&B.
    """
    found: list[Logger] = [MetricsFile(folder)]
    if wandb.resolved_mode() != "disabled":
        found.append(_wandb_logger(folder, wandb, config))
    elif wandb.mode == "auto" and not installed("wandb"):
        rank_zero_info("W&B: not installed; curves are in metrics.csv alone")
    return found


def _wandb_logger(folder: Path, wandb: Wandb, config: dict[str, Any]) -> WandbLogger:
    """Logger of a run that is already started, on the first process; a disabled one on the others."""
    run = _start(folder, wandb, config)
    if run is None:
        return WandbLogger(project=wandb.project, save_dir=folder, offline=True)
    run.define_metric("examples_seen")
    for pattern in ("train/*", "val/*", "samples", "samples/*"):
        run.define_metric(pattern, step_metric="examples_seen")
    return WandbLogger(experiment=run, save_dir=folder)


@rank_zero_only
def _start(folder: Path, wandb: Wandb, config: dict[str, Any]) -> Any:
    """Starts the run; falls back to an offline one if the server does not answer in time. Logging never ends a run.

    Raises:
        UserError: If W&B rejects the run even offline, because of a name or an environment variable.
    """
    # The client reports telemetry when the process ends: an unreachable server would delay that by 24 s.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb as client

    options: dict[str, Any] = {
        "project": None if os.environ.get("WANDB_SWEEP_ID") else wandb.project,
        "name": wandb.name or folder.name,
        "group": wandb.group,
        "tags": wandb.tags,
        "dir": str(folder),
        "config": config,
        **_identity(folder),
    }
    try:
        options["settings"] = client.Settings(
            init_timeout=wandb.timeout,
            login_timeout=wandb.timeout,
            finish_timeout=wandb.upload_timeout,
            finish_timeout_raises=True,
            silent=True,
        )
        run = _online(options) if wandb.resolved_mode() == "online" else None
        if run is None:
            run = client.init(mode="offline", **options)
            print(f"W&B: offline, in {folder / 'wandb'}")
        _keep_identity(folder, run)
        return run
    except (client.Error, ValueError) as error:  # the client checks its settings by pydantic, a ValueError
        raise UserError(f"wandb: {textwrap.shorten(str(error), 200, placeholder=' ...')}") from error


def _identity(folder: Path) -> dict[str, Any]:
    """Arguments with which W&B continues the run of this folder; empty for a new one or a damaged file.

    Offline, W&B writes another folder with the same id, and ``wandb sync`` of both gives one run.
    """
    try:
        kept = json.loads((folder / IDENTITY).read_text())
        found = {name: kept[name] for name in ("id", "project", "entity") if kept[name]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {**found, "resume": "allow"}


def _keep_identity(folder: Path, run: Any) -> None:
    kept = {"id": run.id, "project": run.project or None, "entity": run.entity or None}
    write_atomically(folder / IDENTITY, json.dumps(kept) + "\n")


def _online(options: dict[str, Any]) -> Any:
    """Starts a run on the server; None if the server cannot be reached or rejects the user."""
    import wandb as client

    try:
        run = client.init(mode="online", **options)
    except client.Error as error:
        print(f"W&B cannot be reached: {str(error).splitlines()[0]}")
        return None
    print(f"W&B: {run.url}")
    return run


@rank_zero_only
def write_summary(trainer_loggers: list[Logger], values: dict[str, Any]) -> None:
    """Writes final values into the summary of the W&B run, replacing those of the last row."""
    for logger in trainer_loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(values)


@rank_zero_only
def finish(trainer_loggers: list[Logger], exit_code: int = 0) -> None:
    """Ends the W&B run, if there is one; waits for the server for a limited time."""
    for logger in trainer_loggers:
        if isinstance(logger, WandbLogger):
            try:
                logger.experiment.finish(exit_code=exit_code)
            except TimeoutError:
                where = Path(logger.experiment.dir).parent
                print(f"W&B did not receive the whole run; to send the rest: wandb sync {where}")
