"""Files of a run: its notes and samples, the folder of a checkpoint's record, and that record on the disk."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_gen.errors import UserError
from lit_gen.records.protocol import Protocol
from lit_gen.records.question import INDEPENDENT, REFERENCE
from lit_gen.records.record import Record, Score, read_record, write_record
from lit_gen.runs.possible import possible, read_previous, with_flags

RECORD = "record.json"
NOTES = "training.json"
FINAL = "samples/final"
"""Path of the final samples, without their suffixes."""
PAIRS = "samples/nearest_pairs.html"
"""Path of the page of samples beside their nearest training images."""


def final_samples(folder: Path) -> dict[str, Path]:
    """Files of samples in a record's folder by role: an image, a text, or recordings in order."""
    stem = folder / FINAL
    one = {"sample_grid": stem.with_suffix(".png"), "sample_text": stem.with_suffix(".txt")}
    numbers = [re.fullmatch(rf"{stem.name}-(\d+)\.wav", file.name) for file in stem.parent.glob(f"{stem.name}-*.wav")]
    sounds = {int(found[1]): stem.with_name(found[0]) for found in numbers if found}
    return {role: file for role, file in one.items() if file.is_file()} | {
        f"sample_audio_{i}": sounds[i] for i in sorted(sounds)
    }


def run_folder_of(checkpoint: Path) -> Path:
    """Folder of the run that a checkpoint belongs to; the checkpoint's own folder if it was copied elsewhere."""
    for folder in (checkpoint.parent.parent, checkpoint.parent):
        if (folder / "config.yaml").is_file():
            return folder
    return checkpoint.parent


def record_dir(path: Path, checkpoint: dict[str, Any]) -> Path:
    """Folder of a checkpoint's record: the run's, if it is the checkpoint that the run selected.

    An unfinished run, or the folder of a copied checkpoint, has no selection: there the checkpoint scored first
    gets the folder's record. Any other checkpoint gets a subfolder, so that no record mixes scores of two.
    """
    run = run_folder_of(path)
    notes, target = notes_of(run), run / RECORD
    if notes is not None:
        mine = bool(notes["selection"]["checkpoint"] == path.name)
    else:
        mine = not target.is_file() or _is_of(read_record(target), path, checkpoint)
    return run if mine else run / "evaluations" / path.stem


def _is_of(record: Record, path: Path, checkpoint: dict[str, Any]) -> bool:
    """Whether a record is of this checkpoint: a file of the same name may be written many times."""
    return (record.selection.checkpoint, record.selection.step) == (path.name, checkpoint["global_step"])


def notes_of(run: Path) -> dict[str, Any] | None:
    """Notes written at the end of training; None if it has not ended.

    Raises:
        UserError: If the file is damaged.
    """
    file = run / NOTES
    if not file.is_file():
        return None
    try:
        notes: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); score a copy of the checkpoint elsewhere") from error
    return notes


def previous_record(folder: Path, path: Path, checkpoint: dict[str, Any]) -> Record | None:
    """The checkpoint's previous record; None if there is none, or it is of another checkpoint.

    Raises:
        UserError: If the record cannot be read.
    """
    target = folder / RECORD
    if not target.is_file():
        return None
    record = read_previous(target)
    return record if _is_of(record, path, checkpoint) else None


def save_record(record: Record, folder: Path, previous: Record | None) -> Record:
    """Writes a checkpoint's record, merged with its previous scores; returns the merged record.

    New scores replace previous ones of the same protocol; all others are kept.
    """
    if previous is not None:
        scores = possible(_merged(previous.scores, record.scores), record.entropy)
        baselines = _merged(previous.baselines, record.baselines)
        # Keys that only a later version knows are kept.
        record = dataclasses.replace(
            record,
            scores=scores,
            baselines=baselines,
            extra={**previous.extra, **record.extra},
            cost=dataclasses.replace(record.cost, extra={**previous.cost.extra, **record.cost.extra}),
            selection=dataclasses.replace(
                record.selection, extra={**previous.selection.extra, **record.selection.extra}
            ),
        )
    record = with_flags(record)
    write_record(folder / RECORD, record)
    return record


def _merged(old: Sequence[Score], new: Sequence[Score]) -> list[Score]:
    return [s for s in old if not any(_answers_again(s.protocol, n.protocol) for n in new)] + list(new)


def _answers_again(old: Protocol, new: Protocol) -> bool:
    """Whether the protocols are the same, but for the generator and for fields on which the number does not depend."""
    unstated: dict[str, Any] = {name: None for name in (*INDEPENDENT, *REFERENCE) if getattr(new, name) is None}
    return dataclasses.replace(old, **unstated | {"generator": new.generator}).hash == new.hash
