"""From a checkpoint to its model: built from the configuration it carries, with the weights that are wanted."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lit_gen.callbacks import EMA
from lit_gen.callbacks.checkpoint import load_state
from lit_gen.callbacks.keep_config import KEY
from lit_gen.cli import CLI
from lit_gen.errors import UserError
from lit_gen.renamed import RenamedError


def build(checkpoint: dict[str, Any], options: Sequence[str]) -> CLI:
    """Builds the model, data and Trainer that a checkpoint's configuration names; the weights are still to come.

    Args:
        checkpoint: Of a run.
        options: Of ``lit_gen.fit``; they override the configuration.

    Raises:
        UserError: The checkpoint is of a version with other options.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(checkpoint[KEY])
        file.flush()
        try:
            return CLI(["--config", file.name, *options], purpose="evaluate")
        except RenamedError as error:
            if any(error.key in option.replace(".init_args.", ".") for option in options):
                raise
            raise UserError(f"the checkpoint is of an older version of lit_gen, where {error}") from error


def load_weights(cli: CLI, checkpoint: dict[str, Any], wanted: str) -> tuple[str, float | None]:
    """Puts a checkpoint's weights into the model: the average if it has one, unless raw ones are wanted.

    Returns:
        ``ema`` or ``raw``, and the average's halflife in images.

    Raises:
        UserError: The average is wanted and there is none, or the weights are not this model's.
    """
    load_state(cli.model, checkpoint)
    ema: EMA = cli.config_init["ema"]
    state = next((s for name, s in checkpoint["callbacks"].items() if name.startswith("EMA")), None)
    if wanted == "raw" or not state or not state["average"]:
        if wanted == "ema":
            raise UserError("scoring.weights=ema, but the run kept no average (ema.halflife_images); use raw")
        return "raw", None
    ema.load_state_dict(state)
    ema.copy_to(cli.model)
    return "ema", state.get("halflife_images", ema.halflife_images)


def check_finite(model: torch.nn.Module, path: Path) -> None:
    """Refuses weights that are no numbers: samples of theirs would still be images, and have scores.

    Raises:
        UserError: Naming a tensor.
    """
    for name, tensor in {**dict(model.named_parameters()), **dict(model.named_buffers())}.items():
        if not tensor.isfinite().all():
            raise UserError(f"{path}: {name} holds values that are not finite, so there is no score and no sample")
