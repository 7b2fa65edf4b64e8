"""Assembles a run's record from its scores, costs and checkpoint selection."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import yaml

from lit_gen.callbacks.flop_counter import flops_per_sample
from lit_gen.checkpoints import BUDGET_STATE, DATA, KEY, THROUGHPUT_STATE
from lit_gen.metrics import sha256_of_file
from lit_gen.records.record import Cost, Environment, Record, Selection
from lit_gen.records.schema import decode
from lit_gen.runs.possible import known_entropy, possible
from lit_gen.runs.provenance import environment, git_commit, now
from lit_gen.runs.record_files import PAIRS, final_samples, notes_of, run_folder_of
from lit_gen.runs.run import Run
from lit_gen.runs.training_data import seen_note, trained_on
from lit_gen.scoring.scorer import Scorer


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
    cost = _cost(run, trainer, notes, scorer, previous.cost if previous else None)
    model = type(run.model)
    entropy = known_entropy(run.data)
    own = trained_on(run, checkpoint, previous)
    mine = own.name == run.data.name
    files = {"checkpoint": path, "config": run_folder / "config.yaml", **final_samples(folder)}
    files["nearest_pairs"] = folder / PAIRS
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
        selection=decode(Selection, notes["selection"] | {"checkpoint_sha256": sha256_of_file(path)}, "selection"),
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
    noted = checkpoint.get(DATA, {}).get("train") or (notes_of(run_folder) or {}).get("train_hash")
    return str(noted or (previous and previous.train_hash) or run.data.identity("train"))


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


def _cost(run: Run, trainer: L.Trainer, notes: dict[str, Any], scorer: Scorer, previous: Cost | None) -> Cost:
    """Costs of training and sampling; costs of sampling that were measured before are kept.

    They were measured on the machine that the record names, not on the one that scored last.
    """
    seconds, examples = notes["train_seconds"], notes["examples_seen"]
    measured = {
        "seconds_per_1000_samples": scorer.seconds_per_1000_samples,
        "function_evaluations_per_sample": scorer.evaluations_per_sample,
    }
    kept = {name: getattr(previous, name) for name in measured if getattr(previous, name, None) is not None}
    flops = previous.flops_per_sample if previous else None
    if flops is None and not scorer.samplings:  # of the model's own sampling
        with trainer.precision_plugin.forward_context():  # in the arithmetic of the scored samples
            flops = flops_per_sample(run.model, scorer.evaluations_per_sample)
    return Cost(
        parameters=sum(p.numel() for p in run.model.parameters() if p.requires_grad),
        examples_seen=examples,
        train_seconds=seconds,
        peak_memory_bytes=notes["peak_memory_bytes"],
        examples_per_second=examples / seconds if seconds else None,
        flops_per_training_example=notes.get("flops_per_training_example"),
        flops_per_sample=flops,
        **(measured | kept),
    )


def _origin(run: Path, previous: Record | None, here: Environment) -> tuple[Environment, str | None, str]:
    """Where, with which code and when the model was trained; without notes of the run, when it was first scored."""
    notes = notes_of(run)
    if notes is not None:
        return Environment(**notes["environment"]), notes["git_commit"], notes["created"]
    if previous is not None:
        return previous.environment, previous.git_commit, previous.created
    return here, git_commit(), now()


def _training_notes(run: Path, path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Notes of the training; for another checkpoint than the selected one, what the checkpoint itself contains."""
    notes = notes_of(run)
    if notes is not None and notes["selection"]["checkpoint"] == path.name:
        return notes
    states = checkpoint["callbacks"]
    selection = {"rule": f"{path.stem} (named by the user)", "checkpoint": path.name, "step": checkpoint["global_step"]}
    return {
        "examples_seen": states[BUDGET_STATE]["examples_seen"],
        "train_seconds": states[THROUGHPUT_STATE]["train_seconds"],
        "flops_per_training_example": states[THROUGHPUT_STATE].get("flops_per_example"),
        "peak_memory_bytes": None,
        "selection": selection,
    }
