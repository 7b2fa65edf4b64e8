"""Reading checkpoints without executing anything in the file; any other file raises a :class:`UserError`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch

from lit_gen.errors import UserError

KEY = "lit_gen_config"
"""Entry of a checkpoint that holds the run's resolved configuration as YAML."""

BUDGET_STATE, THROUGHPUT_STATE, EMA_STATE, INTERRUPT_STATE = "budget", "throughput", "ema", "interrupt"
"""Entries of a checkpoint's ``callbacks``, by name: a class may be renamed, and a file keeps its names."""


def read_checkpoint(path: Path, where: str = "") -> dict[str, Any]:
    """Loads a checkpoint with tensors on the CPU; nothing in the file is executed.

    Args:
        path: The checkpoint's file.
        where: Prefix of error messages: the option that gave the path.

    Raises:
        UserError: If the file is missing, not a checkpoint, or not a checkpoint of lit_gen.
    """
    if not path.is_file():
        raise UserError(f"{where}there is no checkpoint {path}; checkpoints of a run are in <run>/checkpoints/")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged and foreign files raise exceptions of many types
        raise UserError(f"{where}{path} is damaged or not a checkpoint: torch cannot read it") from error
    if not isinstance(content, dict) or KEY not in content:
        raise UserError(f"{where}{path} is not a checkpoint of lit_gen: it contains no configuration")
    return content


def load_state(model: L.LightningModule, checkpoint: dict[str, Any]) -> None:
    """Loads a checkpoint's raw (not averaged) weights into the model.

    Raises:
        UserError: If they do not fit the model.
    """
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"the checkpoint's weights do not fit the model of the configuration ({reason})") from error
