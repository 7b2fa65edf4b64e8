"""From scores to a run's record: what they cost, how the checkpoint was chosen, and where the record belongs."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml

import lit_gen
from lit_gen.checkpoints import KEY
from lit_gen.errors import UserError
from lit_gen.records.record import Cost, Environment, Record, Score, Selection, read_record, write_record
from lit_gen.runs.run import Run
from lit_gen.scoring.scorer import Scorer

RECORD = "record.json"
NOTES = "training.json"
FINAL = "samples/final"
"""Path of the record's samples without their ends."""
_PACKAGES = ("torch", "lightning", "torchmetrics", "torch-fidelity", "datasets", "numpy")


def make_record(
    run: Run,
    trainer: L.Trainer,
    path: Path,
    home: Path,
    scorer: Scorer,
    checkpoint: dict[str, Any],
    before: Record | None,
) -> Record:
    """Puts a record together out of scores and the run's own notes.

    What it says of the training is the training's: scores may be taken later, elsewhere and by other code.

    Args:
        run: The model and data that were scored.
        trainer: The Trainer that scored.
        path: The checkpoint's file.
        home: Folder of the record.
        scorer: Full of scores.
        checkpoint: The file's content.
        before: The checkpoint's record as it was.
    """
    folder = run_folder_of(path)
    notes = _training_notes(folder, path, checkpoint)
    here = environment(trainer)
    trained, commit, created = _origin(folder, before, here)
    config = yaml.safe_load(checkpoint[KEY])
    scored_with = None if here == trained else here
    cost = _cost(run, notes, scorer, before.cost if before else None)
    model = type(run.model)
    files = {"checkpoint": path, "config": folder / "config.yaml", **final_samples(home)}
    return Record(
        run_name=folder.name if home == folder else f"{folder.name} ({path.name})",
        family=model.__module__.split(".")[2] if model.__module__.startswith("lit_gen.families.") else "own",
        model=model.__name__,
        data=run.data.name,
        dimension=run.data.dimension,
        scores=[dataclasses.replace(score, scored_with=scored_with) for score in scorer.scores],
        baselines=[dataclasses.replace(baseline, scored_with=scored_with) for baseline in scorer.baselines],
        cost=cost,
        selection=Selection(**notes["selection"]),
        config=config,
        environment=trained,
        created=created,
        seed=int(config["seed_everything"]),
        git_commit=commit,
        files={role: str(f.relative_to(home)) for role, f in files.items() if f.is_file() and f.is_relative_to(home)},
        notes={"data_skipped": skipped} if (skipped := getattr(run.data, "skipped", 0)) else {},
    )


def _cost(run: Run, notes: dict[str, Any], scorer: Scorer, before: Cost | None) -> Cost:
    """What the training and a sample cost; of samples what was measured first stays.

    That is of one machine, the one that the record names, and not of whichever scored last.
    """
    seconds, examples = notes["train_seconds"], notes["examples_seen"]
    measured = {
        "seconds_per_1000_samples": scorer.seconds_per_1000_samples,
        "function_evaluations_per_sample": scorer.evaluations_per_sample,
    }
    kept = {name: getattr(before, name) for name in measured if getattr(before, name, None) is not None}
    return Cost(
        parameters=sum(p.numel() for p in run.model.parameters() if p.requires_grad),
        examples_seen=examples,
        train_seconds=seconds,
        peak_memory_bytes=notes["peak_memory_bytes"],
        examples_per_second=examples / seconds if seconds else None,
        **(measured | kept),
    )


def final_samples(home: Path) -> dict[str, Path]:
    """The samples in a record's folder by their roles: a picture, a text, or recordings in their order."""
    stem = home / FINAL
    one = {"sample_grid": stem.with_suffix(".png"), "sample_text": stem.with_suffix(".txt")}
    numbers = [re.fullmatch(rf"{stem.name}-(\d+)\.wav", file.name) for file in stem.parent.glob(f"{stem.name}-*.wav")]
    sounds = {int(found[1]): stem.with_name(found[0]) for found in numbers if found}
    return {role: file for role, file in one.items() if file.is_file()} | {
        f"sample_audio_{i}": sounds[i] for i in sorted(sounds)
    }


def run_folder_of(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to; the checkpoint's own if it was taken elsewhere."""
    for folder in (checkpoint.parent.parent, checkpoint.parent):
        if (folder / "config.yaml").is_file():
            return folder
    return checkpoint.parent


def record_dir(path: Path, checkpoint: dict[str, Any]) -> Path:
    """The folder of a checkpoint's record: its run's, where it is the one that the run chose.

    A run that has not ended, or a checkpoint taken elsewhere, has chosen none: there the first to be scored is the
    record's. Any other checkpoint gets a folder of its own, so that no record holds scores of two.
    """
    run = run_folder_of(path)
    notes, target = _notes_of(run), run / RECORD
    if notes is not None:
        mine = bool(notes["selection"]["checkpoint"] == path.name)
    else:
        mine = not target.is_file() or _is_of(read_record(target), path, checkpoint)
    return run if mine else run / "evaluations" / path.stem


def _is_of(record: Record, path: Path, checkpoint: dict[str, Any]) -> bool:
    """Whether a record is of this very checkpoint: a file of one name may be written many times."""
    return (record.selection.checkpoint, record.selection.step) == (path.name, checkpoint["global_step"])


def _notes_of(run: Path) -> dict[str, Any] | None:
    """What the run wrote down when it ended; None where it has not.

    Raises:
        UserError: The file is damaged.
    """
    file = run / NOTES
    if not file.is_file():
        return None
    try:
        notes: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); score a copy of the checkpoint elsewhere") from error
    return notes


def _origin(run: Path, before: Record | None, here: Environment) -> tuple[Environment, str | None, str]:
    """Where, by which code and when it was trained; where the run left no word of it, when it was first scored."""
    notes = _notes_of(run)
    if notes is not None:
        return Environment(**notes["environment"]), notes["git_commit"], notes["created"]
    if before is not None:
        return before.environment, before.git_commit, before.created
    return here, git_commit(), now()


def now() -> str:
    """The time with its offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _training_notes(run: Path, path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The run's own notes; for another checkpoint than the chosen one, what the file itself knows."""
    notes = _notes_of(run)
    if notes is not None and notes["selection"]["checkpoint"] == path.name:
        return notes
    states = checkpoint["callbacks"]
    selection = {"rule": f"{path.stem} (named by the user)", "checkpoint": path.name, "step": checkpoint["global_step"]}
    return {
        "examples_seen": states["Budget"]["examples_seen"],
        "train_seconds": states["Throughput"]["train_seconds"],
        "peak_memory_bytes": None,
        "selection": selection,
    }


def environment(trainer: L.Trainer) -> Environment:
    """Versions and machine, recorded beside the scores."""
    versions = {"python": platform.python_version(), "lit_gen": lit_gen.__version__}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # torch's may be a build without metadata
            versions[package] = importlib.metadata.version(package)
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Environment(
        versions=versions,
        machine=f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        accelerator=name,
        world_size=trainer.world_size,
    )


def git_commit() -> str | None:
    """The commit of lit_gen's code, with ``-dirty`` behind it where files differ; None outside its checkout."""
    file = Path(__file__)
    where = ["git", "-C", str(file.parent)]
    try:
        # An installed copy may lie inside another repository, whose commit says nothing of it.
        subprocess.run([*where, "ls-files", "--error-unmatch", file.name], capture_output=True, check=True)
        head = subprocess.run([*where, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*where, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def previous_record(home: Path, path: Path, checkpoint: dict[str, Any]) -> Record | None:
    """The checkpoint's record as it is; None where there is none, or another checkpoint's to be replaced.

    Raises:
        UserError: There is one that cannot be read.
    """
    target = home / RECORD
    if not target.is_file():
        return None
    record = read_record(target)
    return record if _is_of(record, path, checkpoint) else None


def save_record(record: Record, home: Path, before: Record | None) -> Record:
    """Writes a checkpoint's record; returns it with the scores that it had before.

    Scores under further protocols are added; under a protocol that is there, the new score replaces the old.
    """
    if before is not None:
        scores = _merged(before.scores, record.scores)
        baselines = _merged(before.baselines, record.baselines)
        # Keys that only a later version knows are not lost by scoring again.
        record = dataclasses.replace(
            record,
            scores=scores,
            baselines=baselines,
            extra={**before.extra, **record.extra},
            cost=dataclasses.replace(record.cost, extra={**before.cost.extra, **record.cost.extra}),
            selection=dataclasses.replace(record.selection, extra={**before.selection.extra, **record.selection.extra}),
        )
    write_record(home / RECORD, record)
    return record


def _merged(old: Sequence[Score], new: Sequence[Score]) -> list[Score]:
    fresh = {s.protocol.hash for s in new}
    return [s for s in old if s.protocol.hash not in fresh] + list(new)
