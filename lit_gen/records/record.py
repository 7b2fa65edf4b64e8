"""The record of a run: what was trained, how it scored, what it cost.

The schema, field by field with units, is in README.md beside this file, with the rules by which it grows.

A record is one JSON file, `record.json`, in the run's directory, written atomically. A reader keeps the keys that it
does not know, and leaves out with a message what contradicts the schema: better a run left out by name than a number
misread.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, TypeGuard

from lit_gen.errors import UserError
from lit_gen.records import version1
from lit_gen.records.atomic import write_atomically
from lit_gen.records.cost import Cost
from lit_gen.records.environment import Environment
from lit_gen.records.error_parts import ErrorParts
from lit_gen.records.impossible import ImpossibleScoreError, impossible
from lit_gen.records.protocol import Protocol
from lit_gen.records.question import Scalar
from lit_gen.records.schema import decode, encode
from lit_gen.records.score import Kind, Score, in_dimension
from lit_gen.records.selection import Selection

__all__ = ["SCHEMA_VERSION", "Cost", "Environment", "ErrorParts", "Kind", "Protocol", "Record", "Score", "Selection",
           "read_record", "read_with_reasons", "write_record"]

SCHEMA_VERSION = 2
RECORD_NAME = "record.json"
BASELINES = "baselines"
"""Family of a record that has baselines alone, and so no row of its own."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """All that the leaderboard knows of a run.

    Attributes:
        run_name: The run's name, for the reader.
        family: `vae`, `gan`, `flow` ...
        model: Class name of the model.
        data: Name of the data set; a section of the leaderboard.
        dimension: Name of one dimension of the data, in bits per dimension: `dim`, `character`, `byte`, `sample`.
            A score of `bpd` that leaves label and unit to `METRICS` is labelled with it.
        scores: The run's scores; a metric that failed or does not apply is absent.
        cost: Cost of the model, its training and its samples.
        selection: How the checkpoint was chosen.
        config: The resolved config, nested plain values.
        environment: Environment in which the run trained.
        created: When training ended, as ISO 8601 time with offset.
        seed: Seed of the training.
        git_commit: Commit of the code that trained; None outside a repository.
        files: The run's other files, by role (`sample_grid`, `sample_text`, `sample_audio_0` ..., `checkpoint`,
            `config`), as paths relative to the record's directory and inside it.
        baselines: Scores of references under the same protocols (weights `none`), such as real train images;
            the row is labelled with the protocol's `sampler`, or `estimator` for a likelihood.
        notes: Facts that a reader of the numbers must know, such as `data_skipped`, the unreadable files left out,
            or `samples_clamped`, the share of samples set to an end value because they were outside the data's range.
        train_hash: sha256 (hex) of the training split as the model sees it; None in records of earlier versions.
        entropy: Entropy of the data where it is known, by the name of the score in whose unit it is: `bpd`, `nll`.
        class_names: Names of the classes of the data that were trained on, in the order of their labels; empty if the
            data have none.
        extra: Keys of the file that this version does not know, with their values.

    Raises:
        ValueError: A time cannot be read or lacks its offset, a file is outside the directory, a score is given
            twice, a baseline does not say what it is, or a dimension's name is not a word. `ImpossibleScoreError`, a
            `ValueError`: a likelihood is below the entropy by more than its error.
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
    baselines: Sequence[Score] = ()
    notes: Mapping[str, Scalar] = field(default_factory=dict)
    dimension: str = "dim"
    train_hash: str | None = None
    entropy: Mapping[str, float] = field(default_factory=dict, hash=False)
    class_names: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.dimension.isidentifier():
            raise ValueError(f"dimension {self.dimension!r} is not a word, such as 'dim' or 'character'")
        for name in ("scores", "baselines"):
            labelled = tuple(in_dimension(score, self.dimension) for score in getattr(self, name))
            object.__setattr__(self, name, labelled)
        if datetime.datetime.fromisoformat(self.created).tzinfo is None:
            raise ValueError(f"created {self.created!r} lacks its offset from UTC")
        for role, path in self.files.items():
            _check_inside(path, f"files.{role}")
        hashes = [score.protocol.hash for score in self.scores]
        if len(set(hashes)) < len(hashes):
            raise ValueError("the same score is given twice (equal protocols)")
        for score in self.scores:
            if score.per_example is not None:
                _check_inside(score.per_example, f"per_example of score {score.name}")
            if why := score.impossible(self.entropy if score.protocol.data == self.data else {}):
                raise ImpossibleScoreError(f"score {why}")
        for baseline in self.baselines:
            protocol = baseline.protocol
            if protocol.weights != "none" or not (protocol.sampler or protocol.estimator):
                raise ValueError(f"baseline {baseline.name} needs weights 'none' and a sampler or estimator")


def _check_inside(path: str, what: str) -> None:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
        raise ValueError(f"{what} must be a path inside the run's directory, got {path!r}")


def write_record(path: Path, record: Record) -> None:
    """Writes a record atomically, as the present version of the schema.

    Args:
        path: The file; its directory is made.
        record: The record to write.

    Raises:
        ValueError: The record contradicts the schema, so that it could not be read.
        TypeError: The config holds something else than plain values.
        OSError: The directory cannot be made or written.
    """
    text = json.dumps(_encode(record), indent=1, allow_nan=False) + "\n"
    # What was written is read before it takes its name: a slip of ours must not cost a run its place.
    _decode(text)
    write_atomically(path, text)


def read_record(path: Path) -> Record:
    """Reads a record of version 1 or 2. Keys that it does not know are kept in the `extra` of their object.

    Likelihoods that no model can have (`impossible.py`) are left out; `read_with_reasons` names them.

    Args:
        path: A file written by `write_record`.

    Raises:
        UserError: In one line with the path: the file is unreadable or not JSON, of a later schema version, lacks a
            required key, holds a wrong type or a number that is not finite, or a protocol does not match its hash.
    """
    return read_with_reasons(path)[0]


def read_with_reasons(path: Path) -> tuple[Record, list[str]]:
    """Reads a record, and says in one line each why a score of the file is not among those of the record.

    Args:
        path: A file written by `write_record`.

    Raises:
        UserError: As `read_record`.
    """
    reasons: list[str] = []
    try:
        return _decode(path.read_text(encoding="utf-8"), reasons), reasons
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path}: {' '.join(str(reason).split())}") from error


def _encode(record: Record) -> dict[str, Any]:
    tree = encode(record)
    for part in ("scores", "baselines"):
        for item, score in zip(tree[part], getattr(record, part), strict=True):
            item["protocol_hash"] = score.protocol.hash
    return {"schema_version": SCHEMA_VERSION, **tree}


def _decode(text: str, reasons: list[str] | None = None) -> Record:
    """The record in a text. With a list of reasons, impossible scores are left out and named in it."""
    tree = json.loads(text, parse_constant=_reject_constant, object_pairs_hook=_unique)
    if not isinstance(tree, dict) or "schema_version" not in tree:
        raise ValueError("not a record: it lacks a schema_version")
    version = tree.pop("schema_version")
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        raise ValueError(f"schema version {version!r} is unknown; this version of lit_gen reads 1 to {SCHEMA_VERSION}")
    if version == 1:
        tree = version1.translate(tree)
    if reasons is not None:
        reasons += _leave_out(tree)
    hashes = {part: _take_hashes(tree.get(part), part) for part in ("scores", "baselines")}
    record: Record = decode(Record, tree, "")
    for part, stored in hashes.items():
        for i, (score, expected) in enumerate(zip(getattr(record, part), stored, strict=True)):
            protocol = score.protocol
            if expected != (version1.protocol_hash(protocol) if version == 1 else protocol.hash):
                raise ValueError(f"{part}[{i}] ({score.name}): protocol_hash does not match its protocol")
    return record


def _leave_out(tree: dict[str, Any]) -> list[str]:
    """Removes the scores that no model can have; returns why. What is of a wrong type is left to `schema.decode`."""
    entropy = tree.get("entropy", {})
    known = {name: value for name, value in entropy.items() if _is_number(value)} if isinstance(entropy, dict) else {}
    reasons = []
    for part in ("scores", "baselines"):
        kept = []
        for item in found if isinstance(found := tree.get(part), list) else []:
            own = part == "scores" and _data_of(item) == tree.get("data")
            if why := _impossible(item, known if own else {}):
                reasons.append(f"score {why}")
            else:
                kept.append(item)
        if isinstance(found, list):
            tree[part] = kept
    return reasons


def _data_of(item: Any) -> Any:
    protocol = item.get("protocol") if isinstance(item, dict) else None
    return protocol.get("data") if isinstance(protocol, dict) else None


def _impossible(item: Any, entropy: Mapping[str, float]) -> str:
    if not isinstance(item, dict) or not isinstance(protocol := item.get("protocol"), dict):
        return ""
    name, value, error, kind = (item.get(key) for key in ("name", "value", "standard_error", "kind"))
    if not isinstance(name, str) or not isinstance(kind, str) or not _is_number(value):
        return ""
    return impossible(name, value, error if _is_number(error) else None, kind, protocol.get("split"), entropy)


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float)


def _take_hashes(scores: Any, part: str) -> list[Any]:
    """Removes each score's stored hash, which is no field of `Score`: it is derived from the protocol."""
    if not isinstance(scores, list):
        return []  # `decode` says so in its own words
    for i, score in enumerate(scores):
        if isinstance(score, dict) and "protocol_hash" not in score:
            raise ValueError(f"missing key '{part}[{i}].protocol_hash'")
    return [score.pop("protocol_hash") if isinstance(score, dict) else None for score in scores]


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}; a score that failed must be absent")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("a key is given twice in one object")
    "".join(tree).encode()  # keys too must be writable: a lone surrogate raises UnicodeEncodeError here
    return tree
