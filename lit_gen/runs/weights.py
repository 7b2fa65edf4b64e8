"""Loads averaged or raw weights of a checkpoint into a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lit_gen.callbacks import EMA
from lit_gen.checkpoints import EMA_STATE, listed, load_state, not_finite, read_checkpoint
from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.runs.run import Run


def load_weights(run: Run, checkpoint: dict[str, Any], wanted: str) -> tuple[str, float | None]:
    """Loads a checkpoint's weights into the model: the average if it has one, unless raw weights are requested.

    Returns:
        ``ema`` or ``raw``, and the halflife of the average in examples.

    Raises:
        UserError: If the average is requested but missing, or the weights do not fit the model.
    """
    return _load(run.model, run.ema, checkpoint, wanted, "scoring.weights")


def start_from(model: GenerativeModule, path: Path, wanted: str) -> None:
    """Loads a checkpoint's weights into the model of a new run; what counts the steps of training stays at zero.

    Args:
        model: The model, which has not been trained.
        path: The checkpoint.
        wanted: ``ema``, ``raw``, or ``auto`` for the average if there is one.

    Raises:
        UserError: If the file is not a checkpoint, its weights do not fit the model or are not finite, or it has no
            average, although one is requested.
    """
    checkpoint = read_checkpoint(path, "weights: ")
    counts = {name: value for name, value in model.state_dict().items() if name.endswith("_extra_state")}
    try:
        _load(model, EMA(), checkpoint, wanted, "weights_kind")
    except UserError as error:
        raise UserError(f"weights: {path}: {error}") from error
    check_finite(model, path)
    model.load_state_dict(counts, strict=False)


def _load(
    model: GenerativeModule, ema: EMA, checkpoint: dict[str, Any], wanted: str, option: str
) -> tuple[str, float | None]:
    load_state(model, checkpoint)
    state = checkpoint["callbacks"].get(EMA_STATE)
    if wanted == "raw" or not state or not state["average"]:
        if wanted == "ema":
            raise UserError(f"{option}=ema, but the run kept no average (ema.halflife_examples); use raw")
        return "raw", None
    ema.load_state_dict(state)
    ema.copy_to(model)
    return "ema", state.get("halflife_examples", ema.halflife_examples)


def check_finite(model: torch.nn.Module, path: Path) -> None:
    """Validates that all weights are finite: samples from other weights would still be images, and have scores.

    Raises:
        UserError: If a tensor contains NaN or infinity.
    """
    bad = not_finite({**dict(model.named_parameters()), **dict(model.named_buffers())})
    if bad:
        raise UserError(f"{path}: {listed(bad)} contains NaN or infinity, so it cannot be scored or sampled")
