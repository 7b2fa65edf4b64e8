"""The weights of a checkpoint, averaged or raw, put into a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lit_gen.callbacks import EMA
from lit_gen.checkpoints import load_state
from lit_gen.errors import UserError
from lit_gen.runs.run import Run


def load_weights(run: Run, checkpoint: dict[str, Any], wanted: str) -> tuple[str, float | None]:
    """Puts a checkpoint's weights into the model: the average if it has one, unless raw ones are wanted.

    Returns:
        ``ema`` or ``raw``, and the average's halflife in examples.

    Raises:
        UserError: The average is wanted and there is none, or the weights are not this model's.
    """
    load_state(run.model, checkpoint)
    ema: EMA = run.ema
    state = next((s for name, s in checkpoint["callbacks"].items() if name.startswith("EMA")), None)
    if wanted == "raw" or not state or not state["average"]:
        if wanted == "ema":
            raise UserError("scoring.weights=ema, but the run kept no average (ema.halflife_examples); use raw")
        return "raw", None
    ema.load_state_dict(state)
    ema.copy_to(run.model)
    return "ema", state.get("halflife_examples", ema.halflife_examples)


def check_finite(model: torch.nn.Module, path: Path) -> None:
    """Refuses weights that are no numbers: samples of theirs would still be images, and have scores.

    Raises:
        UserError: Naming a tensor.
    """
    for name, tensor in {**dict(model.named_parameters()), **dict(model.named_buffers())}.items():
        if not tensor.isfinite().all():
            raise UserError(f"{path}: {name} holds values that are not finite, so there is no score and no sample")
