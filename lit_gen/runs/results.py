"""Assembles a run's record from its scores, costs and checkpoint selection, and finds the folder it is written to."""

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
from lit_gen.checkpoints import BUDGET_STATE, DATA, KEY, THROUGHPUT_STATE
from lit_gen.errors import UserError
from lit_gen.metrics import sha256_of_file
from lit_gen.records.protocol import Protocol
from lit_gen.records.question import INDEPENDENT, REFERENCE
from lit_gen.records.record import Cost, Environment, Record, Score, Selection, read_record, write_record
from lit_gen.runs.possible import known_entropy, possible, read_previous, with_flags
from lit_gen.runs.run import Run
from lit_gen.runs.training_data import seen_note, trained_on
from lit_gen.scoring.scorer import Scorer

RECORD = "record.json"
NOTES = "training.json"
FINAL = "samples/final"
"""Path of the final samples, without their suffixes."""
_PACKAGES = ("torch", "lightning", "torchmetrics", "torch-fidelity", "datasets", "numpy")


def make_record(
    run: Run,
    trainer: L.Trainer,
    path: Path,
    folder: Path,
    scorer: Scorer,
    checkpoint: dict[str, Any],
    previous: Record | None,
    arguments: Sequence[str] = (),
) -> Record:
    """Assembles a record from scores and the notes of the training.

    What it says about training comes from the training run: scores may be computed later, elsewhere, by other code.

    Args:
        run: The model and data that were scored.
        trainer: The Trainer that computed the scores.
        path: Path of the checkpoint.
        folder: Folder of the record.
        scorer: The scorer, after the test.
        checkpoint: Content of the checkpoint.
        previous: The checkpoint's previous record, if there is one.
        arguments: Options of the evaluation, beside the checkpoint's own configuration.
    """
    run_folder = run_folder_of(path)
    notes = _training_notes(run_folder, path, checkpoint)
    here = environment(trainer)
    trained, commit, created = _origin(run_folder, previous, here)
    config = yaml.safe_load(checkpoint[KEY])
    # Half a character, as in a path that is not UTF-8, must not cost the scores: no record can hold it.
    given = tuple(argument.encode("utf-8", "replace").decode() for argument in arguments)
    taken: dict[str, Any] = {"scored_with": None if here == trained else here, "arguments": given}
    cost = _cost(run, notes, scorer, previous.cost if previous else None)
    model = type(run.model)
    entropy = known_entropy(run.data)
    own = trained_on(run, checkpoint, previous)
    mine = own.name == run.data.name
    files = {"checkpoint": path, "config": run_folder / "config.yaml", **final_samples(folder)}
    return Record(
        run_name=run_folder.name if folder == run_folder else f"{run_folder.name} ({path.name})",
        family=model.__module__.split(".")[2] if model.__module__.startswith("lit_gen.families.") else "own",
        model=model.__name__,
        data=own.name,
        dimension=own.dimension,
        scores=[dataclasses.replace(score, **taken) for score in possible(scorer.scores, entropy)],
        baselines=[dataclasses.replace(baseline, **taken) for baseline in scorer.baselines],
        entropy=entropy if mine else previous.entropy if previous else {},
        cost=cost,
        selection=Selection(**notes["selection"] | {"checkpoint_sha256": sha256_of_file(path)}),
        config=config,
        environment=trained,
        created=created,
        seed=int(config["seed_everything"]),
        train_hash=_train_hash(run_folder, previous, run, checkpoint),
        class_names=_class_names(previous, run, checkpoint, mine),
        git_commit=commit,
        files={
            role: str(f.relative_to(folder)) for role, f in files.items() if f.is_file() and f.is_relative_to(folder)
        },
        notes=_notes(run, scorer, previous, run_folder, mine),
    )


def _train_hash(run_folder: Path, previous: Record | None, run: Run, checkpoint: dict[str, Any]) -> str:
    """Fingerprint of the data that trained: an evaluation may have other data."""
    noted = checkpoint.get(DATA, {}).get("train") or (_notes_of(run_folder) or {}).get("train_hash")
    return str(noted or (previous and previous.train_hash) or run.data.fingerprint("train"))


def _class_names(previous: Record | None, run: Run, checkpoint: dict[str, Any], own_data: bool) -> tuple[str, ...]:
    """Names of the classes of the data that trained."""
    here = getattr(run.data, "class_names", ()) if own_data else ()
    return tuple(checkpoint.get(DATA, {}).get("class_names") or here or (previous.class_names if previous else ()))


def _notes(run: Run, scorer: Scorer, previous: Record | None, run_folder: Path, own_data: bool) -> dict[str, Any]:
    """Facts about the data and the samples; those of samples that were noted before are kept if none were drawn."""
    counts = {f"data_{name}": getattr(run.data, name, 0) for name in ("skipped", "copies")} if own_data else {}
    return {
        **(previous.notes if previous else {}),
        **{name: count for name, count in counts.items() if count},
        **seen_note(run, run_folder, own_data),
        **scorer.sample_notes,
    }


def _cost(run: Run, notes: dict[str, Any], scorer: Scorer, previous: Cost | None) -> Cost:
    """Costs of training and sampling; costs of sampling that were measured before are kept.

    They were measured on the machine that the record names, not on the one that scored last.
    """
    seconds, examples = notes["train_seconds"], notes["examples_seen"]
    measured = {
        "seconds_per_1000_samples": scorer.seconds_per_1000_samples,
        "function_evaluations_per_sample": scorer.evaluations_per_sample,
    }
    kept = {name: getattr(previous, name) for name in measured if getattr(previous, name, None) is not None}
    return Cost(
        parameters=sum(p.numel() for p in run.model.parameters() if p.requires_grad),
        examples_seen=examples,
        train_seconds=seconds,
        peak_memory_bytes=notes["peak_memory_bytes"],
        examples_per_second=examples / seconds if seconds else None,
        **(measured | kept),
    )


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
    notes, target = _notes_of(run), run / RECORD
    if notes is not None:
        mine = bool(notes["selection"]["checkpoint"] == path.name)
    else:
        mine = not target.is_file() or _is_of(read_record(target), path, checkpoint)
    return run if mine else run / "evaluations" / path.stem


def _is_of(record: Record, path: Path, checkpoint: dict[str, Any]) -> bool:
    """Whether a record is of this checkpoint: a file of the same name may be written many times."""
    return (record.selection.checkpoint, record.selection.step) == (path.name, checkpoint["global_step"])


def _notes_of(run: Path) -> dict[str, Any] | None:
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


def _origin(run: Path, previous: Record | None, here: Environment) -> tuple[Environment, str | None, str]:
    """Where, with which code and when the model was trained; without notes of the run, when it was first scored."""
    notes = _notes_of(run)
    if notes is not None:
        return Environment(**notes["environment"]), notes["git_commit"], notes["created"]
    if previous is not None:
        return previous.environment, previous.git_commit, previous.created
    return here, git_commit(), now()


def now() -> str:
    """The time with its offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _training_notes(run: Path, path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Notes of the training; for another checkpoint than the selected one, what the checkpoint itself contains."""
    notes = _notes_of(run)
    if notes is not None and notes["selection"]["checkpoint"] == path.name:
        return notes
    states = checkpoint["callbacks"]
    selection = {"rule": f"{path.stem} (named by the user)", "checkpoint": path.name, "step": checkpoint["global_step"]}
    return {
        "examples_seen": states[BUDGET_STATE]["examples_seen"],
        "train_seconds": states[THROUGHPUT_STATE]["train_seconds"],
        "peak_memory_bytes": None,
        "selection": selection,
    }


def environment(trainer: L.Trainer) -> Environment:
    """Versions and machine, for the record."""
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
    """Commit of lit_gen's code, with ``-dirty`` appended if files differ; None outside its repository."""
    file = Path(__file__)
    where = ["git", "-C", str(file.parent)]
    try:
        # An installed copy may lie inside another repository, whose commit is unrelated.
        subprocess.run([*where, "ls-files", "--error-unmatch", file.name], capture_output=True, check=True)
        head = subprocess.run([*where, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*where, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


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
    """Whether the protocols are the same, but for fields of the old one on which its number does not depend."""
    unstated: dict[str, Any] = {name: None for name in (*INDEPENDENT, *REFERENCE) if getattr(new, name) is None}
    return dataclasses.replace(old, **unstated).hash == new.hash
