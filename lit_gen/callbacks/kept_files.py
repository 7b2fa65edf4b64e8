"""What a run's checkpoints take on the disk: an estimate before training, and which of them stay after scoring."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info

from lit_gen.callbacks.ema import EMA
from lit_gen.errors import print_warning, writing
from lit_gen.records.file_size import file_size

Keep = Literal["best+last", "best", "last", "none"]
KEEPS: tuple[Keep, ...] = ("best+last", "best", "last", "none")


def state_bytes(trainer: L.Trainer, pl_module: L.LightningModule) -> int:
    """Size of a checkpoint: weights, their average, and what the optimizers will keep for each weight.

    Optimizers have no state before the first step; their options show how many values they keep.
    """
    state: list[Any] = [t for t in pl_module.state_dict().values() if hasattr(t, "nbytes")]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EMA):
            state += callback.average.values()
    moments = sum(
        _moments(group) * sum(p.nbytes for p in group["params"])
        for optimizer in trainer.optimizers
        for group in optimizer.param_groups
    )
    return sum(tensor.nbytes for tensor in state) + moments


def _moments(group: dict[str, Any]) -> int:
    if group.get("hidden"):  # lit_gen's Muon: AdamW's options are in all groups
        return 1
    if "betas" in group:
        return 2 + bool(group.get("amsgrad"))
    return int(bool(group.get("momentum")))


def announce(trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: ModelCheckpoint, keep: Keep) -> None:
    """Prints how much the checkpoints will take, and a warning if the disk has less room than that."""
    one = state_bytes(trainer, pl_module)
    best = checkpoint.save_top_k
    number = max(best, 0) + 1
    more = ", and as much again at each validation (checkpoint.save_top_k=-1)" if best < 0 else ""
    after = "" if keep == "best+last" else f"; after scoring, checkpoint.keep={keep} removes some"
    rank_zero_info(
        f"checkpoints: about {file_size(number * one)} on disk ({number} of {file_size(one)}), and one more while it is"
        f" written{more}{after}"
    )
    if trainer.is_global_zero and (folder := Path(trainer.default_root_dir)).is_dir():
        free = shutil.disk_usage(folder).free
        if free < (number + 1) * one:
            print_warning(
                f"{folder} has {file_size(free)} of free space, less than the checkpoints take; free some, or choose"
                " another folder (trainer.default_root_dir)"
            )


def remove_unkept(folder: Path, keep: Keep, scored: Path) -> list[Path]:
    """Removes the checkpoints of a scored run that the user does not want to keep.

    Args:
        folder: The folder of the run's checkpoints.
        keep: ``best+last``: all; ``best``: the one that was scored and other best ones; ``last``: ``last.ckpt``;
            ``none``: none.
        scored: The checkpoint that was scored.

    Returns:
        The removed files.

    Raises:
        FileError: If one cannot be removed.
    """
    if keep == "best+last":
        return []
    removed = []
    for file in sorted(folder.glob("*.ckpt")):
        is_best = file.name == scored.name or file.name.startswith("best")
        wanted = {"best": is_best, "last": file.name == "last.ckpt", "none": False}[keep]
        if not wanted:
            with writing(file):
                file.unlink()
            removed.append(file)
    return removed
