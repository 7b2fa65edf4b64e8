"""Loads averaged or raw weights of a checkpoint into a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lit_gen.callbacks import EMA
from lit_gen.checkpoints import EMA_STATE, listed, load_state, not_finite
from lit_gen.errors import UserError
from lit_gen.runs.run import Run


def load_weights(run: Run, checkpoint: dict[str, Any], wanted: str) -> tuple[str, float | None]:
    """Loads a checkpoint's weights into the model: the average if it has one, unless raw weights are requested.

    Returns:
        ``ema`` or ``raw``, and the halflife of the average in examples.

    Raises:
        UserError: If the average is requested but missing, or the weights do not fit the model.
    """
    load_state(run.model, checkpoint)
    ema: EMA = run.ema
    state = checkpoint["callbacks"].get(EMA_STATE)
    if wanted == "raw" or not state or not state["average"]:
        if wanted == "ema":
            raise UserError("scoring.weights=ema, but the run kept no average (ema.halflife_examples); use raw")
        return "raw", None
    ema.load_state_dict(state)
    ema.copy_to(run.model)
    return "ema", state.get("halflife_examples", ema.halflife_examples)


def check_finite(model: torch.nn.Module, path: Path) -> None:
    """Validates that all weights are finite: samples from other weights would still be images, and have scores.

    Raises:
        UserError: If a tensor contains NaN or infinity.
    """
    bad = not_finite({**dict(model.named_parameters()), **dict(model.named_buffers())})
    if bad:
        raise UserError(f"{path}: {listed(bad)} contains NaN or infinity, so it cannot be scored or sampled")
