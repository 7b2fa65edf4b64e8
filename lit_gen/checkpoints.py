"""Reading checkpoints without executing anything in the file; any other file raises a :class:`UserError`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lit_gen.errors import UserError

KEY = "lit_gen_config"
"""Entry of a checkpoint that holds the run's resolved configuration as YAML."""

DATA = "lit_gen_data"
"""Entry of a checkpoint that holds the name of the data, and the fingerprints of what was trained and validated on."""

BUDGET_STATE, THROUGHPUT_STATE, EMA_STATE, INTERRUPT_STATE = "budget", "throughput", "ema", "interrupt"
END_STATE = "end"
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


def peek(path: Path) -> dict[str, Any]:
    """Content of a checkpoint whose tensors are read only where they are used; nothing in the file is executed.

    Raises:
        Exception: Of any type, if the file is damaged; damage within a tensor is not noticed.
    """
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return content


def is_readable(path: Path) -> bool:
    """Whether a file exists and is a complete checkpoint; damage within a tensor is not noticed."""
    try:
        return KEY in peek(path)
    except Exception:  # damaged files raise exceptions of many types
        return False


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


def not_finite(tensors: Mapping[str, Any]) -> list[str]:
    """Names of the tensors with NaN or infinity; entries of other types are skipped.

    The host waits for the device once, not once for each tensor.
    """
    found = {
        name: t.detach() for name, t in tensors.items() if isinstance(t, Tensor) and t.is_floating_point() and t.numel()
    }
    if not found:
        return []
    # NaN and infinity pass through a norm, which takes a tenth of the time of `isfinite`; it may overflow, too.
    norms = torch._foreach_norm(list(found.values()))
    where = norms[0].device
    finite = torch.stack([norm.to(where, torch.float32) for norm in norms]).isfinite().tolist()
    suspects = [name for name, good in zip(found, finite, strict=True) if not good]
    return [name for name in suspects if not bool(found[name].isfinite().all())]


def weights_not_finite(checkpoint: Mapping[str, Any]) -> list[str]:
    """Names of the raw and averaged weights of a checkpoint that contain NaN or infinity."""
    average = checkpoint.get("callbacks", {}).get(EMA_STATE, {}).get("average", {})
    return [*not_finite(checkpoint["state_dict"]), *(f"the average of {name}" for name in not_finite(average))]


def listed(names: list[str]) -> str:
    """The first name and the number of the others.

    >>> listed(["net.weight", "net.bias", "head.weight"])
    'net.weight and 2 more'
    """
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
