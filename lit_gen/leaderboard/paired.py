"""Differences of two likelihoods on the same examples, which are far more precise than those of independent scores."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lit_gen.errors import UserError
from lit_gen.leaderboard.spread import Spread, parts
from lit_gen.records.per_example import ExampleNats, read_examples
from lit_gen.records.score import Score

_PRECISION = 1e-4
"""Relative difference up to which a score is the mean of its file."""


class Difference(NamedTuple):
    """Difference of two likelihoods, the first minus the second, in the unit of the scores.

    Attributes:
        mean: Mean over examples.
        standard_error: Standard error of the mean over groups of dependent examples.
        num_examples: Number of examples.
        num_groups: Number of groups, which is that of examples if these are independent.
        correlation: Correlation of the two over examples; None if one of them is constant.
    """

    mean: float
    standard_error: float
    num_examples: int
    num_groups: int
    correlation: float | None


def paired_difference(a: Sequence[ExampleNats], b: Sequence[ExampleNats]) -> Difference:
    """Difference of two likelihoods in nats, a - b.

    The variance of the mean is G / (G - 1) sum_g (sum of the deviations in g)^2 / n^2, for G groups of n examples
    together (cluster-robust; for groups of one example it is the usual s^2 / n). Errors from random draws are in the
    values already.

    Args:
        a: Values of one model.
        b: Values of another. If the two state different groups, the fewer ones are taken.

    Raises:
        UserError: The two are not of the same examples, or there are fewer than two groups.
    """
    first, second = (sorted(examples, key=lambda example: example.index) for examples in (a, b))
    if [example.index for example in first] != [example.index for example in second]:
        raise UserError("the two files of per-example values are of different examples; score both on the same ones")
    grouped = min(first, second, key=lambda examples: len({example.group for example in examples}))
    differences = [one.nats - other.nats for one, other in zip(first, second, strict=True)]
    n = len(differences)
    mean = math.fsum(differences) / n if n else 0.0
    sums: dict[int, float] = {}
    for example, difference in zip(grouped, differences, strict=True):
        sums[example.group] = sums.get(example.group, 0.0) + difference - mean
    if len(sums) < 2:
        raise UserError(f"a paired error takes two groups of examples, and there are {len(sums)}; score more examples")
    variance = len(sums) / (len(sums) - 1) * math.fsum(value**2 for value in sums.values()) / n**2
    return Difference(mean, math.sqrt(variance), n, len(sums), _correlation(first, second))


def score_difference(a: Score, a_directory: Path, b: Score, b_directory: Path) -> Difference:
    """Difference of two scores on the same examples, a - b, in the unit of the scores.

    Args:
        a: One score.
        a_directory: Directory of its record.
        b: A score of the same name.
        b_directory: Directory of its record.

    Raises:
        UserError: A score has no file of per-example values, it is not that of the score, or the two files are not of
            the same examples.
    """
    return _difference(a, _examples_of(a, a_directory), b, _examples_of(b, b_directory))


def _difference(a: Score, a_examples: Sequence[ExampleNats], b: Score, b_examples: Sequence[ExampleNats]) -> Difference:
    if a.protocol.data_hash is None or a.protocol.data_hash != b.protocol.data_hash:
        raise UserError("the two scores are not of the same data (data_hash); score both on the same examples")
    units = [_nats_per_unit(score, examples) for score, examples in ((a, a_examples), (b, b_examples))]
    if not math.isclose(*units, rel_tol=_PRECISION):
        raise UserError("the two scores are not of examples of the same size; score both on the same data")
    found = paired_difference(a_examples, b_examples)
    return found._replace(mean=found.mean / units[0], standard_error=found.standard_error / units[0])


def _examples_of(score: Score, directory: Path) -> list[ExampleNats]:
    if score.per_example is None:
        raise UserError(
            f"{directory}: score {score.name} ({score.protocol.estimator}) has no per-example values; score its "
            "checkpoint again with this version (python -m lit_gen.evaluate CHECKPOINT)"
        )
    path = directory / score.per_example
    examples = _read(path)
    try:
        _nats_per_unit(score, examples)
    except UserError as error:
        raise UserError(f"{path} {error}") from error
    return examples


def check_examples(score: Score, directory: Path) -> None:
    """Validates that the file of per-example values of a score is that of the score.

    Args:
        score: A score with such a file.
        directory: Directory of its record.

    Raises:
        UserError: It cannot be read, its mean is not the score, or it has another number of examples.
    """
    examples = _examples_of(score, directory)
    if score.protocol.num_examples not in (None, len(examples)):
        raise UserError(f"{directory / (score.per_example or '')} has {len(examples):,} examples, and the protocol of "
                        f"score {score.name} says {score.protocol.num_examples:,}")


class PairedErrors:
    """Standard errors of differences of scores: paired if both have values of the same examples.

    Of means over seeds (`spread.py`), the examples' part is that of the differences of the members' mean values.

    Args:
        directories: Directory of the record of each score, by the score's `id`.
        spreads: The spread of each mean over several runs, by the score's `id`.
    """

    def __init__(self, directories: Mapping[int, Path], spreads: Mapping[int, Spread] | None = None) -> None:
        self.directories, self.spreads = directories, spreads or {}
        self._known: dict[tuple[int, int], float] = {}
        self._means: dict[int, list[ExampleNats]] = {}

    def __call__(self, a: Score, b: Score) -> float:
        """Standard error of the difference of two scores, in their unit."""
        pair = (id(a), id(b))
        if pair not in self._known:
            self._known[pair] = self._error(a, b)
        return self._known[pair]

    def _error(self, a: Score, b: Score) -> float:
        (own_a, shared_a), (own_b, shared_b) = (parts(score, self.spreads.get(id(score))) for score in (a, b))
        own = math.hypot(own_a, own_b)
        independent = math.hypot(own, shared_a, shared_b)
        # No correlation makes it larger than the sum, so that most pairs need no file.
        most = math.hypot(own, shared_a + shared_b)
        if not (self._have_files(a) and self._have_files(b)) or abs(a.value - b.value) > 2 * most:
            return independent
        try:
            return math.hypot(own, _difference(a, self._examples(a), b, self._examples(b)).standard_error)
        except UserError:
            return independent

    def _members(self, score: Score) -> list[tuple[Score, Path | None]]:
        spread = self.spreads.get(id(score))
        if spread is None:
            return [(score, self.directories.get(id(score)))]
        return [(member.score, member.directory) for member in spread.members]

    def _have_files(self, score: Score) -> bool:
        return all(one.per_example is not None and directory is not None for one, directory in self._members(score))

    def _examples(self, score: Score) -> list[ExampleNats]:
        """Values per example; of several runs, their means."""
        members = self._members(score)
        if len(members) == 1:
            return [example for one, folder in members if folder is not None for example in _examples_of(one, folder)]
        if id(score) not in self._means:
            files = [_examples_of(one, folder) for one, folder in members if folder is not None]
            self._means[id(score)] = _mean_examples(files)
        return self._means[id(score)]


def _mean_examples(files: Sequence[Sequence[ExampleNats]]) -> list[ExampleNats]:
    in_order = [sorted(examples, key=lambda example: example.index) for examples in files]
    if len({tuple((example.index, example.group) for example in examples) for examples in in_order}) > 1:
        raise UserError("the files of per-example values of the seeds are of different examples")
    return [
        ExampleNats(same[0].index, same[0].group, math.fsum(example.nats for example in same) / len(same), None)
        for same in zip(*in_order, strict=True)
    ]


def _nats_per_unit(score: Score, examples: Sequence[ExampleNats]) -> float:
    """Nats in one unit of the score: 1 for `nll`, and the number of dimensions times log 2 for `bpd`.

    A record does not have the number of dimensions, which follows from score and file; it must be a whole number.
    """
    mean = math.fsum(example.nats for example in examples) / max(1, len(examples))
    ratio = mean / score.value if score.value else 0.0
    exact = 1.0 if score.name == "nll" else math.log(2) * max(1, round(ratio / math.log(2)))
    if not math.isclose(ratio, exact, rel_tol=_PRECISION):
        raise UserError(f"is not of score {score.name} {score.value:.6g}: its mean is {mean:.6g} nats; "
                        "score the checkpoint again")
    return exact


def _correlation(a: Sequence[ExampleNats], b: Sequence[ExampleNats]) -> float | None:
    n = len(a)
    mean_a, mean_b = (math.fsum(example.nats for example in examples) / n for examples in (a, b))
    pairs = [(one.nats - mean_a, other.nats - mean_b) for one, other in zip(a, b, strict=True)]
    squares = math.fsum(x * x for x, _ in pairs) * math.fsum(y * y for _, y in pairs)
    return math.fsum(x * y for x, y in pairs) / math.sqrt(squares) if squares > 0 else None


def _read(path: Path) -> list[ExampleNats]:
    try:
        return _read_once(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; score the checkpoint again") from error


@functools.lru_cache(maxsize=16)  # of one file for bits/dim and NLL, and of the best for all that may tie with it
def _read_once(path: Path, modified: int) -> list[ExampleNats]:
    return read_examples(path)
