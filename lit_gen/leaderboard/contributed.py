"""Validation of a record that somebody contributes: everything that can be checked without scoring again."""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lit_gen.errors import UserError
from lit_gen.leaderboard.collect import read_limited
from lit_gen.leaderboard.paired import check_examples
from lit_gen.leaderboard.printable import printable
from lit_gen.records.flags import flag_lines
from lit_gen.records.plain_file import check_plain
from lit_gen.records.record import RECORD_NAME, Record
from lit_gen.records.schema import unknown_keys
from lit_gen.records.score import Score

_ANY_SIZE = 2**62
_RANGES: Mapping[str, tuple[float, float]] = {
    "fid": (0, math.inf), "fd": (0, math.inf), "is": (1, math.inf), "jsd": (0, 1), "precision": (0, 1),
    "recall": (0, 1), "density": (0, math.inf), "coverage": (0, 1), "authpct": (0, 100),
}
"""Lowest and highest value that a statistic can have. KID's estimate without bias may be below zero."""
_TOLERANCE = 3  # standard errors


class Finding(NamedTuple):
    """One thing about a record.

    Attributes:
        text: What it is, in words.
        is_error: Whether the record is wrong by it; otherwise it is what a reviewer should know.
    """

    text: str
    is_error: bool = True


def check_records(paths: list[Path]) -> tuple[list[str], int]:
    """Validates records.

    Args:
        paths: Records, or folders of runs.

    Returns:
        One line for each finding, or one that says that there is none; and the number of errors.

    Raises:
        UserError: A path does not exist.
    """
    lines, errors = [], 0
    for path in paths:
        file = path / RECORD_NAME if path.is_dir() else path
        if not file.exists():
            raise UserError(f"{file} does not exist; give the folder of a run or the path of its {RECORD_NAME}")
        findings = list(_findings(file))
        errors += sum(finding.is_error for finding in findings)
        lines += [printable(f"{file}: {'error' if f.is_error else 'note'}: {f.text}") for f in findings]
        if not any(finding.is_error for finding in findings):
            lines.append(printable(f"{file}: valid"))
    return lines, errors


def _findings(file: Path) -> Iterator[Finding]:
    try:
        record, reasons = read_limited(file)
    except UserError as error:
        yield Finding(str(error).removeprefix(f"{file}").removeprefix(":").strip())
        return
    yield from (Finding(f"impossible: {reason}") for reason in reasons)
    yield from (Finding(f"key '{key}' is unknown to this version") for key in unknown_keys(record))
    for score in (*record.scores, *record.baselines):
        yield from _of_value(score)
    yield from _of_twins(record)
    yield from _of_origin(record)
    yield from _of_files(record, file.parent)
    yield from (Finding(f"flagged: {line}", is_error=False) for line in flag_lines(record))
    if not record.scores:
        yield Finding("it has no score")


def _of_value(score: Score) -> Iterator[Finding]:
    low, high = _RANGES.get(score.name.partition("_")[0], (-math.inf, math.inf))
    margin = _TOLERANCE * (score.standard_error or 0.0)
    if not low - margin <= score.value <= high + margin:
        yield Finding(f"{score.name} is {score.value:.6g}; it lies within {low:g} and {high:g}")
    samples, examples = score.protocol.num_samples, score.protocol.num_examples
    if score.kind is not None and examples is None:
        yield Finding(f"{score.name} is a likelihood without num_examples in its protocol")
    if score.kind is None and score.protocol.sampler and samples is None:
        yield Finding(f"{score.name} is of samples, and its protocol lacks num_samples")


def _of_twins(record: Record) -> Iterator[Finding]:
    """NLL and bits per dimension of one estimate differ by a whole number of dimensions times log 2."""
    bits = {_elsewhere(score): score for score in record.scores if score.name == "bpd"}
    for score in record.scores:
        twin = bits.get(_elsewhere(score)) if score.name == "nll" else None
        if twin is not None and twin.value:
            dims = score.value / (twin.value * math.log(2))
            if not 0.5 <= dims < math.inf or not math.isclose(dims, round(dims), rel_tol=1e-6):
                yield Finding(f"nll {score.value:.6g} and bpd {twin.value:.6g} of one estimate "
                              f"({score.protocol.estimator}) give {dims:.6g} dimensions, no whole number")


def _elsewhere(score: Score) -> tuple[Any, ...]:
    protocol = score.protocol
    return (protocol.split, protocol.weights, protocol.num_examples, protocol.seed, protocol.draws, protocol.replicates,
            protocol.estimator)


def _of_origin(record: Record) -> Iterator[Finding]:
    now = datetime.datetime.now(datetime.UTC)
    if datetime.datetime.fromisoformat(record.created) > now + datetime.timedelta(days=1):
        yield Finding(f"it was created in the future, {record.created}")
    seed = record.config.get("seed_everything")
    if type(seed) is int and seed != record.seed:
        yield Finding(f"seed is {record.seed}, and its configuration says seed_everything = {seed}")
    model = record.config.get("model")
    path = model.get("class_path") if isinstance(model, Mapping) else None
    # Samples of other programs and baselines bear names of their own.
    named = path.rsplit(".", 1)[-1] if isinstance(path, str) else record.model
    if named != record.model and not str(path).startswith("lit_gen.entries."):
        yield Finding(f"model is {record.model}, and its configuration says {path}")
    cost = record.cost
    if cost.examples_seen and cost.train_seconds and cost.examples_per_second is not None:
        rate = cost.examples_seen / cost.train_seconds
        if not math.isclose(rate, cost.examples_per_second, rel_tol=0.01):
            yield Finding(f"cost.examples_per_second is {cost.examples_per_second:.6g}, and examples_seen / "
                          f"train_seconds is {rate:.6g}")
    if record.git_commit is None or record.git_commit.endswith("-dirty"):
        what = "names no commit" if record.git_commit is None else "was trained with changed files (-dirty)"
        yield Finding(f"it {what}, so that its code cannot be looked up", is_error=False)


def _of_files(record: Record, folder: Path) -> Iterator[Finding]:
    for role, name in record.files.items():
        if reason := _no_file(folder, name):
            # A checkpoint is large and need not be contributed.
            yield Finding(f"files.{role}: {name} {reason}", is_error=not (role == "checkpoint" and reason == _ABSENT))
    for score in record.scores:
        if score.per_example is None:
            continue
        if reason := _no_file(folder, score.per_example):
            yield Finding(f"per_example of {score.name}: {score.per_example} {reason}", is_error=reason != _ABSENT)
        else:
            try:
                check_examples(score, folder)
            except UserError as error:
                yield Finding(str(error))
    yield from _of_checkpoint(record, folder)


def _of_checkpoint(record: Record, folder: Path) -> Iterator[Finding]:
    name, stated = record.files.get("checkpoint"), record.selection.checkpoint_sha256
    if stated is None:
        yield Finding("selection.checkpoint_sha256 is not stated, so no checkpoint can be verified", is_error=False)
    elif name is None or _no_file(folder, name):
        yield Finding("the checkpoint is not at hand, so its sha256 is not compared", is_error=False)
    elif (found := _sha256(folder / name)) != stated:
        yield Finding(f"{name} has sha256 {found}, and selection.checkpoint_sha256 is {stated}")


_ABSENT = "does not exist"


def _no_file(folder: Path, name: str) -> str:
    """Why a path is no file inside the folder; empty if it is one."""
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            return "is outside the record's directory"
        check_plain(path, _ANY_SIZE)
    except FileNotFoundError:
        return _ABSENT
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
