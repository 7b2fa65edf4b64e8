"""Where curves go: a CSV file in the run's folder, and Weights & Biases, online or not."""

from __future__ import annotations

import netrc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from lit_gen.errors import UserError

MODES = ("auto", "online", "offline", "disabled")


@dataclass(frozen=True)
class Wandb:
    """Weights & Biases.

    Attributes:
        mode: ``online``; ``offline``: written below the run's folder, for ``wandb sync`` later; ``disabled``;
            or ``auto``: WANDB_MODE if it is set, else online where there is a key, else offline.
        project: The project's name there.
        name: The run's name there; the run folder's name if not given.
        group: A group to put the run into.
        tags: Tags of the run.
        timeout: Seconds to wait for the server before the run goes on offline.
    """

    mode: str = "auto"
    project: str = "lit_gen"
    name: str | None = None
    group: str | None = None
    tags: list[str] | None = None
    timeout: float = 20.0

    def __post_init__(self) -> None:
        """Refuses an unknown mode."""
        if self.mode not in MODES:
            raise UserError(f"wandb.mode is '{self.mode}'; it is one of {', '.join(MODES)}")

    def resolved_mode(self) -> str:
        """The mode to use now."""
        if self.mode != "auto":
            return self.mode
        asked = {"dryrun": "offline", "run": "online"}.get(os.environ.get("WANDB_MODE", ""))
        return asked or os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def loggers(folder: Path, wandb: Wandb, config: dict[str, Any]) -> list[Logger]:
    """The loggers of a run: ``metrics.csv`` always, W&B where it is wanted.

    Args:
        folder: The run's folder.
        wandb: The user's wishes.
        config: What W&B shows as the run's configuration.
    """
    found: list[Logger] = [CSVLogger(folder, name="", version="", flush_logs_every_n_steps=500)]
    if wandb.resolved_mode() != "disabled":
        found.append(_wandb_logger(folder, wandb, config))
    return found


def _wandb_logger(folder: Path, wandb: Wandb, config: dict[str, Any]) -> WandbLogger:
    """W&B's logger around a run that is already started, on the first process; elsewhere an idle one."""
    run = _start(folder, wandb, config)
    if run is None:
        return WandbLogger(project=wandb.project, save_dir=folder, offline=True)
    run.define_metric("images_seen")
    for pattern in ("train/*", "val/*"):
        run.define_metric(pattern, step_metric="images_seen")
    return WandbLogger(experiment=run, save_dir=folder)


@rank_zero_only
def _start(folder: Path, wandb: Wandb, config: dict[str, Any]) -> Any:
    """Starts the run; a server that does not answer in time makes it an offline one. Logging ends no run."""
    import wandb as client
    from wandb.errors import CommError, UsageError

    mode = wandb.resolved_mode()
    options: dict[str, Any] = {
        "project": wandb.project,
        "name": wandb.name or folder.name,
        "group": wandb.group,
        "tags": wandb.tags,
        "dir": str(folder),
        "config": config,
    }
    settings = client.Settings(init_timeout=wandb.timeout, silent=True)
    try:
        return client.init(mode=mode, settings=settings, **options)  # type: ignore[arg-type]
    except (CommError, UsageError) as error:
        reason = str(error).splitlines()[0]
        print(f"W&B cannot be reached ({reason}); the run is kept offline in {folder / 'wandb'}")
        return client.init(mode="offline", settings=settings, **options)


@rank_zero_only
def write_summary(trainer_loggers: list[Logger], values: dict[str, Any]) -> None:
    """Puts final values into the W&B run's summary, in place of the last row's, and ends the run."""
    for logger in trainer_loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(values)


@rank_zero_only
def finish(trainer_loggers: list[Logger], exit_code: int = 0) -> None:
    """Ends the W&B run, if there is one."""
    for logger in trainer_loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=exit_code)
