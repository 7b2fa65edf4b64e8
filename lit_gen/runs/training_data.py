"""The data that a checkpoint was trained on, which an evaluation may replace by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from lit_gen.checkpoints import DATA
from lit_gen.data.example_hashes import count_seen
from lit_gen.records.record import Record
from lit_gen.runs.run import Run

TRAINED_ON = "_trained_on"
"""End of the notes' names that count scored examples of which the training data have exact copies."""


class TrainingData(NamedTuple):
    """The data of a run.

    Attributes:
        name: Name of the data.
        dimension: Name of one of an example's integers.
    """

    name: str
    dimension: str


def trained_on(run: Run, checkpoint: dict[str, Any], previous: Record | None) -> TrainingData:
    """The data that a checkpoint was trained on; one of an earlier version does not say, but its record does.

    Args:
        run: The objects of the evaluation, with its data.
        checkpoint: Content of the checkpoint.
        previous: The checkpoint's previous record, if there is one.
    """
    here = TrainingData(run.data.name, run.data.dimension)
    if previous is not None and DATA not in checkpoint:
        return TrainingData(previous.data, previous.dimension)
    name = checkpoint[DATA]["name"] if DATA in checkpoint else here.name
    return TrainingData(name, previous.dimension if previous is not None and name != here.name else here.dimension)


def seen_note(run: Run, folder: Path, own_data: bool) -> dict[str, int]:
    """The note on scored examples of which the training data have exact copies; empty if there are none.

    Args:
        run: The objects of the evaluation, with its data.
        folder: The run's folder.
        own_data: Whether the model was trained on these data.
    """
    split = run.scoring.split
    seen = count_seen(run.data.split(split).x, folder)
    whose = "" if own_data else f"{run.data.name}_"
    return {f"{whose}{split}_examples{TRAINED_ON}": seen} if seen else {}
