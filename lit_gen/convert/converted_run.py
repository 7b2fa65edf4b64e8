"""Writes a run's folder from published weights, for ``evaluate`` and ``sample``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from torch import Tensor

from lit_gen.checkpoints import BUDGET_STATE, EMA_STATE, KEY, THROUGHPUT_STATE
from lit_gen.cli.command_line import CLI
from lit_gen.cli.parser import Parser
from lit_gen.cli.run_folder import make_run_folder
from lit_gen.convert.published import Published
from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.runs.checkpoint_file import WholeCheckpointIO
from lit_gen.runs.provenance import environment, now
from lit_gen.runs.record_files import NOTES
from lit_gen.runs.run import Run

CHECKPOINT = "pretrained.ckpt"
# Arguments that define the model of the weights; sampling options are free.
_FIXED = ("nets", "schedule", "labels")


class Converting(CLI):
    """Builds the published model for the user's data.

    Args:
        args: The command line of ``lit_gen.fit``.
        model: The ``model`` section of the configuration.
        shape: Shape of the model's images.
        folder: Folder of the model, for messages.
    """

    def __init__(self, args: list[str], model: dict[str, Any], shape: tuple[int, ...], folder: Path) -> None:
        self._model, self._shape, self._folder = model, shape, folder
        super().__init__(args, purpose="evaluate")

    def before_instantiate_classes(self) -> None:
        """Validates data and model, before the parser combines them and its errors become unclear.

        Raises:
            UserError: If the data have another shape, or an option sets what the folder specifies.
        """
        data = self._build_data()
        if tuple(data.shape) != self._shape:
            raise UserError(
                f"--data: '{data.name}' has shape {tuple(data.shape)}, but the model of {self._folder} requires"
                f" {self._shape}; give data of that shape (--data.transform.size, --data.transform.channels)"
            )
        asked = self.plain_config()["model"]
        given = self._model["init_args"]
        if asked["class_path"] != self._model["class_path"]:
            raise UserError(f"--model is set by {self._folder}; leave it out")
        for name in _FIXED:
            if not _contains(asked["init_args"][name], given[name]):
                raise UserError(f"--model: {name} is set by {self._folder}; leave it out")

    def _build_data(self) -> DiscreteDataModule:
        """Builds the data module only, which reads no file.

        Raises:
            UserError: If its constructor raises one.
        """
        parser = Parser()
        parser.add_subclass_arguments(DiscreteDataModule, "data")
        try:
            return parser.instantiate(Namespace(data=self.config["data"]))["data"]
        except ValueError as error:  # by which the parser wraps the constructor's error
            if isinstance(error.__cause__, UserError):
                raise error.__cause__ from None
            raise


def _contains(asked: Any, given: Any) -> bool:
    """Whether a configuration has all that the folder specifies.

    What the folder does not specify is free, such as gradient checkpointing, or the dropout of labels that do not
    exist.
    """
    if isinstance(asked, dict) and isinstance(given, dict):
        return all(name in asked and _contains(asked[name], value) for name, value in given.items())
    return bool(asked == given)


def make_folder(cli: CLI, out: Path | None) -> Path:
    """Creates the run's folder: the given one, or a new one in the Trainer's root.

    Raises:
        UserError: If it exists, or cannot be created.
    """
    if out is None:
        return make_run_folder(
            cli.config["trainer"]["default_root_dir"], cli.config["run_name"], f"ddpm-{cli.datamodule.name}"
        )
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"--out: cannot create {out} ({error.strerror})") from error
    return out


def write_run(run: Run, state: dict[str, Tensor], published: Published, folder: Path, averaged: bool) -> Path:
    """Writes checkpoint, configuration and notes; returns the checkpoint's path.

    Args:
        run: The model and data.
        state: The model's weights.
        published: The folder the weights were read from.
        folder: The run's folder, which exists.
        averaged: Whether the weights are an average over training.
    """
    path = folder / "checkpoints" / CHECKPOINT
    text = run.config
    WholeCheckpointIO().save_checkpoint(checkpoint(state, text, averaged), path)
    (folder / "config.yaml").write_text(text)
    notes = {
        # Not measured; the leaderboard shows n/a.
        "examples_seen": None,
        "train_seconds": None,
        "peak_memory_bytes": None,
        "environment": dataclasses.asdict(environment(run.trainer)),
        "git_commit": None,  # not trained by lit_gen
        "created": now(),
        "selection": {"rule": "published weights", "checkpoint": CHECKPOINT, "step": 0},
        "published": {
            "folder": str(published.net_file.parent.absolute()),
            "weights": published.weights.name,
            "sha256": digest(published.weights),
        },
    }
    (folder / NOTES).write_text(json.dumps(notes, indent=1) + "\n")
    return path


def checkpoint(state: dict[str, Tensor], config: str, averaged: bool) -> dict[str, Any]:
    """Content of a run's checkpoint, as far as it is known.

    Args:
        state: The weights.
        config: The resolved configuration.
        averaged: Whether the weights are an average. The raw ones are then unknown, and stored as NaN, so that
            ``scoring.weights=raw`` is rejected and no score has a wrong name.
    """
    callbacks: dict[str, Any] = {
        BUDGET_STATE: {"examples_seen": None},
        THROUGHPUT_STATE: {"train_seconds": None},
    }
    if averaged:
        callbacks[EMA_STATE] = {"average": state, "halflife_examples": None, "examples_seen": 0, "pending": 0}
        state = {name: torch.full((), torch.nan).expand(tensor.shape) for name, tensor in state.items()}
    return {"state_dict": state, "callbacks": callbacks, "global_step": 0, "epoch": 0, KEY: config}


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
