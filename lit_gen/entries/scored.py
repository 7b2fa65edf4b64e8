"""Scores entries under the protocols of trained models, and writes their records."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lit_gen.entries.declared import Declared
from lit_gen.entries.entry import Entry
from lit_gen.errors import UserError, writing
from lit_gen.records.per_example import write_examples
from lit_gen.records.record import Cost, Record, Score, Selection
from lit_gen.runs.possible import known_entropy, possible, read_previous
from lit_gen.runs.provenance import environment, now
from lit_gen.runs.record_files import RECORD, final_samples, save_record
from lit_gen.runs.run import Run
from lit_gen.runs.sample_output import write_final_samples, write_nearest_pairs
from lit_gen.scoring.scored_data import ScoredParts
from lit_gen.scoring.scorer import Scorer

FOREIGN = "foreign"
"""Family of an entry whose author does not say."""
RULE = "chosen by its author"


@dataclasses.dataclass(frozen=True)
class About:
    """What the author of an entry says about it.

    Attributes:
        name: Name of the entry, and of its folder.
        family: Family of the model.
        weights: Which weights were scored: ``ema``, ``raw`` or ``unknown``.
        parameters: Number of the model's parameters; None if unknown.
    """

    name: str
    family: str = FOREIGN
    weights: str = "unknown"
    parameters: int | None = None


def score_entry(run: Run, about: About, arguments: Sequence[str]) -> tuple[Record, Path] | None:
    """Scores an entry and writes its record and a grid of its samples; None on all processes but the first.

    Args:
        run: The entry as the model, with data and Trainer.
        about: What is known of it.
        arguments: The command line, which the record keeps with each score.

    Raises:
        UserError: If the folder has the record of something else.
        FileError: If the record cannot be written.
    """
    folder = entry_folder(run, about.name)
    previous = _previous(folder, about)
    scorer = scored(run, about.weights)
    if not run.trainer.is_global_zero:
        return None
    record = _record(run, about, folder, scorer, arguments)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file, examples in scorer.examples.items():
            write_examples(folder / file, examples)
        if run.model.most_samples != 0:
            write_final_samples(run, run.trainer, folder)
            write_nearest_pairs(run, run.trainer, scorer, folder)
    record = dataclasses.replace(record, files=_files(folder))
    with writing(folder / RECORD):
        return save_record(record, folder, previous), folder / RECORD


def scored(run: Run, weights: str) -> Scorer:
    """Takes all scores of a model that needs no checkpoint; returns the scorer with them.

    Args:
        run: The model, its data and a fresh Trainer.
        weights: What the protocols say about its weights.
    """
    scorer = Scorer(run.data, run.scoring, run.quality.extractor, run.quality.statistics, weights, None)
    run.trainer.callbacks.append(scorer)  # type: ignore[attr-defined]
    run.trainer.test(run.model, datamodule=ScoredParts(run.data, scorer), verbose=False)
    run.trainer.callbacks.remove(scorer)  # type: ignore[attr-defined]
    return scorer


def entry_folder(run: Run, name: str) -> Path:
    """Folder of an entry's record.

    Raises:
        UserError: If the name is no name of a folder.
    """
    if not name or name in (".", "..") or not name.isprintable() or any(c in name for c in "/\\"):
        raise UserError(f"--name={name!r}: give a name that can be a folder's")
    return Path(run.trainer_options["default_root_dir"]).expanduser().absolute() / name


def _previous(folder: Path, about: About) -> Record | None:
    """The entry's earlier record, which new scores are added to."""
    if not (folder / RECORD).is_file():
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"--name={about.name}: {folder} exists and is not an entry's; choose another name")
        return None
    record = read_previous(folder / RECORD)
    if record.selection.rule != RULE:
        raise UserError(f"--name={about.name}: {folder} is a run of lit_gen; choose another name")
    return record


def _record(run: Run, about: About, folder: Path, scorer: Scorer, arguments: Sequence[str]) -> Record:
    model, entropy = run.model, known_entropy(run.data)
    assert isinstance(run.config, str)
    given = tuple(argument.encode("utf-8", "replace").decode() for argument in arguments)
    own = [_without_draws(score) for score in scorer.scores] if isinstance(model, Declared) else scorer.scores
    named = about.name if isinstance(model, Entry) else type(model).__name__
    return Record(
        run_name=about.name,
        family=about.family,
        model=named,
        data=run.data.name,
        dimension=run.data.dimension,
        scores=[dataclasses.replace(score, arguments=given) for score in possible(own, entropy)],
        baselines=[dataclasses.replace(score, arguments=given) for score in scorer.baselines],
        entropy=entropy,
        cost=Cost(parameters=_parameters(run, about)),
        selection=Selection(rule=RULE, checkpoint="", step=0),
        config=yaml.safe_load(run.config),
        environment=environment(run.trainer),
        created=now(),
        seed=0,
        train_hash=run.data.identity("train"),
        class_names=tuple(getattr(run.data, "class_names", ())),
        notes={**(model.entry_notes if isinstance(model, Entry) else {}), **scorer.sample_notes},
    )


def _parameters(run: Run, about: About) -> int | None:
    if about.parameters is not None or isinstance(run.model, Entry):
        return about.parameters
    return sum(p.numel() for p in run.model.parameters())


def _without_draws(score: Score) -> Score:
    """The score without what declared numbers do not depend on: the seed of our noise, and draws of an estimator."""
    protocol = dataclasses.replace(score.protocol, seed=None, generator=None, draws=None, replicates=None)
    return dataclasses.replace(score, protocol=protocol)


def _files(folder: Path) -> dict[str, Any]:
    return {role: str(file.relative_to(folder)) for role, file in final_samples(folder).items()}
