"""Reading checkpoints: nothing in a file is executed, and a file of another kind is a :class:`UserError`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch

from lit_gen.errors import UserError

KEY = "lit_gen_config"
"""Entry of a checkpoint that holds the run's resolved configuration as YAML."""


def read_checkpoint(path: Path, where: str = "") -> dict[str, Any]:
    """A checkpoint's content, tensors on the CPU; nothing in the file is executed.

    Args:
        path: The file.
        where: What an error begins with: the option that named the file.

    Raises:
        UserError: The file is missing, is no checkpoint, or is not one of lit_gen's.
    """
    if not path.is_file():
        raise UserError(f"{where}there is no checkpoint {path}; a run keeps its own in <run>/checkpoints/")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file provokes, it is the file that is wrong
        raise UserError(f"{where}{path} is damaged or no checkpoint at all; torch cannot read it") from error
    if not isinstance(content, dict) or KEY not in content:
        raise UserError(f"{where}{path} is not a checkpoint of lit_gen: it carries no configuration")
    return content


def load_state(model: L.LightningModule, checkpoint: dict[str, Any]) -> None:
    """Puts a checkpoint's raw weights into the model.

    Raises:
        UserError: They are another model's.
    """
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"the checkpoint's weights do not fit the model of the configuration ({reason})") from error
