"""The record of a run: what was trained, how it scored, what it cost.

The schema, field by field with units, is in README.md beside this file.

A record is one JSON file, `record.json`, in the run's directory. It is written once, whole or not at all, and
a reader refuses what it does not know: better a run left out by name than a number misread.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from lit_gen.errors import UserError
from lit_gen.records.atomic import write_atomically
from lit_gen.records.environment import Environment
from lit_gen.records.protocol import Protocol, Scalar
from lit_gen.records.schema import decode
from lit_gen.records.score import Kind, Score

__all__ = ["SCHEMA_VERSION", "Cost", "Environment", "Kind", "Protocol", "Record", "Score", "Selection",
           "read_record", "write_record"]

SCHEMA_VERSION = 1
RECORD_NAME = "record.json"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run cost. None: not measured.

    Attributes:
        parameters: Trainable parameters of the whole model.
        images_seen: Training examples shown, repetitions counted.
        train_seconds: Wall time of training, scoring left out.
        peak_memory_bytes: Largest memory of the training process (of the accelerator where there is one).
        images_per_second: Training examples a second, over the whole training.
        seconds_per_1000_samples: Time to draw 1,000 samples.
        function_evaluations_per_sample: Network passes for one sample.
    """

    parameters: int
    images_seen: int | None = None
    train_seconds: float | None = None
    peak_memory_bytes: int | None = None
    images_per_second: float | None = None
    seconds_per_1000_samples: float | None = None
    function_evaluations_per_sample: int | None = None

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"cost.{f.name} must be finite and not negative, got {value}")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """How the scored checkpoint was chosen.

    Attributes:
        rule: In words: `last`, or `best val/bpd of 12`.
        metric: The quantity watched; None if the last checkpoint was taken.
        value: That quantity at the chosen checkpoint.
        last_value: The same at the end of training, so that the gain from choosing can be seen.
        checkpoint: File name of the checkpoint.
        step: Batches trained when it was saved.
    """

    rule: str
    checkpoint: str
    step: int
    metric: str | None = None
    value: float | None = None
    last_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """All that the leaderboard knows of a run.

    Attributes:
        run_name: The run's name, for the reader.
        family: `vae`, `gan`, `flow` ...
        model: Class name of the model.
        data: Name of the data set; a section of the leaderboard.
        dimension: What one of its dimensions is called, in bits per dimension: `dim`, `character`, `byte`, `sample`.
        scores: The run's scores; a metric that failed or does not apply is absent.
        cost: What they cost.
        selection: How the checkpoint was chosen.
        config: The resolved config, nested plain values.
        environment: Where it trained.
        created: When training ended, as ISO 8601 time with offset.
        seed: Seed of the training.
        git_commit: Of the code that trained; None outside a repository.
        files: What else the run left, by role (`sample_grid`, `sample_text`, `sample_audio_0` ..., `checkpoint`,
            `config`), as paths relative to the record's directory and inside it.
        floors: Scores of references under the same protocols (weights `none`), such as real train images;
            the row is labelled with the protocol's `sampler`, or `estimator` for a likelihood.
        notes: What else a reader must know of the numbers, such as `data_skipped`, the unreadable files left out.
        schema_version: Version of this schema.

    Raises:
        ValueError: A time that cannot be read or lacks its offset, a file outside the directory, a score
            given twice, a floor that does not say what it is, or a dimension's name that is no word.
    """

    run_name: str
    family: str
    model: str
    data: str
    scores: Sequence[Score]
    cost: Cost
    selection: Selection
    config: Mapping[str, Any]
    environment: Environment
    created: str
    seed: int
    git_commit: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    floors: Sequence[Score] = ()
    notes: Mapping[str, Scalar] = field(default_factory=dict)
    dimension: str = "dim"
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        for name in ("scores", "floors"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if datetime.datetime.fromisoformat(self.created).tzinfo is None:
            raise ValueError(f"created {self.created!r} lacks its offset from UTC")
        if not self.dimension.isidentifier():
            raise ValueError(f"dimension {self.dimension!r} is no word, such as 'dim' or 'character'")
        for role, path in self.files.items():
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
                raise ValueError(f"files.{role} must be a path inside the run's directory, got {path!r}")
        hashes = [score.protocol.hash for score in self.scores]
        if len(set(hashes)) < len(hashes):
            raise ValueError("the same score is given twice (equal protocols)")
        for floor in self.floors:
            protocol = floor.protocol
            if protocol.weights != "none" or not (protocol.sampler or protocol.estimator):
                raise ValueError(f"floor {floor.name} needs weights 'none' and a sampler or estimator")


def write_record(path: Path, record: Record) -> None:
    """Writes a record, whole or not at all.

    Args:
        path: The file; its directory is made.
        record: What to write.

    Raises:
        ValueError: The record holds what a reader would refuse.
        TypeError: The config holds something else than plain values.
        OSError: The directory cannot be made or written.
    """
    text = json.dumps(_encode(record), indent=1, allow_nan=False) + "\n"
    # What was written is read before it takes its name: a slip of ours must not cost a run its place.
    _decode(text)
    write_atomically(path, text)


def read_record(path: Path) -> Record:
    """Reads a record and refuses what it does not know.

    Args:
        path: A file written by `write_record`.

    Raises:
        UserError: In one line with the path: unreadable, no JSON, another schema version, an unknown or
            missing key, a wrong type, a number that is not finite, a protocol that does not match its hash.
    """
    try:
        return _decode(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path}: {' '.join(str(reason).split())}") from error


def _encode(record: Record) -> dict[str, Any]:
    tree = dataclasses.asdict(record)
    for part in ("scores", "floors"):
        for item, score in zip(tree[part], getattr(record, part), strict=True):
            item["protocol_hash"] = score.protocol.hash
    return {"schema_version": tree.pop("schema_version"), **tree}


def _decode(text: str) -> Record:
    tree = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    if not isinstance(tree, dict) or "schema_version" not in tree:
        raise ValueError("no record: it lacks a schema_version")
    version = tree["schema_version"]
    if version != SCHEMA_VERSION or type(version) is not int:
        raise ValueError(f"schema version {version!r} is unknown; this reader knows {SCHEMA_VERSION}")
    tree.setdefault("dimension", "dim")  # which records had not, when all data were images
    hashes = {part: _take_hashes(tree.get(part), part) for part in ("scores", "floors")}
    record: Record = decode(Record, tree, "")
    for part, stored in hashes.items():
        for i, (score, expected) in enumerate(zip(getattr(record, part), stored, strict=True)):
            if score.protocol.hash != expected:
                raise ValueError(f"{part}[{i}] ({score.name}): protocol_hash does not match its protocol")
    return record


def _take_hashes(scores: Any, part: str) -> list[Any]:
    """Removes each score's stored hash, which is no field of `Score`: it is derived from the protocol."""
    if not isinstance(scores, list):
        return []  # `decode` says so in its own words
    for i, score in enumerate(scores):
        if isinstance(score, dict) and "protocol_hash" not in score:
            raise ValueError(f"missing key '{part}[{i}].protocol_hash'")
    return [score.pop("protocol_hash") if isinstance(score, dict) else None for score in scores]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}; a score that failed must be absent")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("a key is given twice in one object")
    "".join(tree).encode()  # keys too must be writable: a lone surrogate raises UnicodeEncodeError here
    return tree
