"""Finds the record that is meant, and the checkpoint that it is of."""

from __future__ import annotations

from pathlib import Path

from lit_gen.errors import UserError
from lit_gen.metrics import sha256_of_file
from lit_gen.records.record import RECORD_NAME, Record


class CheckpointError(UserError):
    """The checkpoint is missing, or is not the one that was scored."""

    exit_code = 1


def record_file(run: Path) -> Path:
    """The record of a run's folder, or the file itself.

    Raises:
        UserError: There is no such file.
    """
    file = run / RECORD_NAME if run.is_dir() else run
    if not file.is_file():
        raise UserError(f"there is no record {file}; give a run's folder, or a folder evaluations/NAME of it")
    return file


def checkpoint_file(file: Path, record: Record) -> Path:
    """The checkpoint of a record.

    Args:
        file: The record's file.
        record: The record.

    Raises:
        CheckpointError: It is at none of the places where it belongs.
    """
    folder, name = file.parent, Path(record.selection.checkpoint).name
    # The record of another than the selected checkpoint lies in evaluations/NAME, beside the folder of checkpoints.
    run = folder.parent.parent if folder.absolute().parent.name == "evaluations" else folder
    noted = [folder / record.files["checkpoint"]] if "checkpoint" in record.files else []
    places = list(dict.fromkeys([*noted, run / "checkpoints" / name, run / name]))
    for place in places:
        if place.is_file():
            return place
    raise CheckpointError(f"the checkpoint of {file} is missing; there is no {' and no '.join(map(str, places))}")


def check_sum(path: Path, record: Record) -> str | None:
    """Compares a checkpoint's checksum with the recorded one.

    Returns:
        What differs, in one line; None if the two are equal.
    """
    recorded = record.selection.checkpoint_sha256
    if recorded is None:
        return f"the record holds no checksum, so {path} may be another checkpoint than the scored one"
    found = sha256_of_file(path)
    if found == recorded:
        return None
    return f"{path} is not the checkpoint that was scored: its sha256 is {found}, recorded is {recorded}"
