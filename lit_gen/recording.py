"""From scores to a run's record: what they cost, how the checkpoint was chosen, and where the record belongs."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import lightning as L
import torch

from lit_gen.cli import CLI
from lit_gen.leaderboard.record import Cost, Environment, Record, Selection, read_record, write_record
from lit_gen.scoring import Scorer

RECORD = "record.json"
GRID = "samples/final.png"
_PACKAGES = ("lit_gen", "torch", "lightning", "torchmetrics", "torch-fidelity", "datasets", "numpy")


def make_record(
    cli: CLI, trainer: L.Trainer, path: Path, home: Path, scorer: Scorer, checkpoint: dict[str, Any]
) -> Record:
    """Puts a record together out of scores, the run's own notes and the machine's facts."""
    run = run_folder_of(path)
    notes = _training_notes(run, path, checkpoint)
    seconds, images = notes["train_seconds"], notes["images_seen"]
    cost = Cost(
        parameters=sum(p.numel() for p in cli.model.parameters() if p.requires_grad),
        images_seen=images,
        train_seconds=seconds,
        peak_memory_bytes=notes["peak_memory_bytes"],
        images_per_second=images / seconds if seconds else None,
        seconds_per_1000_samples=scorer.seconds_per_1000_samples,
        function_evaluations_per_sample=scorer.evaluations_per_sample,
    )
    model = type(cli.model)
    files = {"checkpoint": path, "config": run / "config.yaml", "sample_grid": home / GRID}
    return Record(
        run_name=run.name if home == run else f"{run.name} ({path.name})",
        family=model.__module__.split(".")[2] if model.__module__.startswith("lit_gen.families.") else "own",
        model=model.__name__,
        data=cli.datamodule.name,
        scores=scorer.scores,
        floors=scorer.floors,
        cost=cost,
        selection=Selection(**notes["selection"]),
        config=cli.plain_config(),
        environment=environment(trainer, notes["world_size"]),
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        seed=int(cli.config["seed_everything"]),
        git_commit=git_commit(),
        files={role: str(f.relative_to(home)) for role, f in files.items() if f.is_file() and f.is_relative_to(home)},
    )


def run_folder_of(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to; the checkpoint's own if it was taken elsewhere."""
    for folder in (checkpoint.parent.parent, checkpoint.parent):
        if (folder / "config.yaml").is_file():
            return folder
    return checkpoint.parent


def home_of(path: Path, checkpoint: dict[str, Any]) -> Path:
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
    """What the run wrote down when it ended; None where it has not."""
    file = run / "training.json"
    return json.loads(file.read_text()) if file.is_file() else None


def _training_notes(run: Path, path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The run's own notes; for another checkpoint than the chosen one, what the file itself knows."""
    notes = _notes_of(run)
    if notes is not None and notes["selection"]["checkpoint"] == path.name:
        return notes
    states = checkpoint["callbacks"]
    selection = {"rule": f"{path.stem} (named by the user)", "checkpoint": path.name, "step": checkpoint["global_step"]}
    return {
        "images_seen": states["Budget"]["images_seen"],
        "train_seconds": states["Throughput"]["train_seconds"],
        "peak_memory_bytes": None,
        "world_size": 1,
        "selection": selection,
    }


def environment(trainer: L.Trainer, world_size: int) -> Environment:
    """Versions and machine, recorded beside the scores."""
    versions = {"python": platform.python_version()}
    versions |= {package: importlib.metadata.version(package) for package in _PACKAGES}
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Environment(
        versions=versions,
        machine=f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        accelerator=name,
        world_size=world_size,
    )


def git_commit() -> str | None:
    """The commit of the code, with ``-dirty`` behind it where files differ; None outside a checkout."""
    where = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*where, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*where, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def save_record(record: Record, home: Path, path: Path, checkpoint: dict[str, Any]) -> Record:
    """Writes a checkpoint's record; returns it with the scores that it had before.

    Scores under further protocols are added; under a protocol that is there, the new score replaces the old.
    """
    target = home / RECORD
    if target.is_file() and _is_of(old := read_record(target), path, checkpoint):
        scores, floors = _merged(old.scores, record.scores), _merged(old.floors, record.floors)
        record = dataclasses.replace(record, scores=scores, floors=floors)
    write_record(target, record)
    return record


def _merged(old: Any, new: Any) -> list[Any]:
    fresh = {s.protocol.hash for s in new}
    return [s for s in old if s.protocol.hash not in fresh] + list(new)
