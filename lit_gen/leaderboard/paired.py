"""Differences of two likelihoods on the same examples, which are far more precise than those of independent scores."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lit_gen.errors import UserError
from lit_gen.leaderboard.best import unpaired_error
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
    if a.protocol.data_hash is None or a.protocol.data_hash != b.protocol.data_hash:
        raise UserError("the two scores are not of the same data (data_hash); score both on the same examples")
    examples, units = [], []
    for score, directory in ((a, a_directory), (b, b_directory)):
        if score.per_example is None:
            raise UserError(
                f"{directory}: score {score.name} ({score.protocol.estimator}) has no per-example values; score its "
                "checkpoint again with this version (python -m lit_gen.evaluate CHECKPOINT)"
            )
        path = directory / score.per_example
        examples.append(_read(path))
        units.append(_nats_per_unit(score, examples[-1], path))
    if not math.isclose(*units, rel_tol=_PRECISION):
        raise UserError("the two scores are not of examples of the same size; score both on the same data")
    found = paired_difference(*examples)
    return found._replace(mean=found.mean / units[0], standard_error=found.standard_error / units[0])


class PairedErrors:
    """Standard errors of differences of scores: paired if both have values of the same examples.

    Args:
        directories: Directory of the record of each score, by the score's `id`.
    """

    def __init__(self, directories: Mapping[int, Path]) -> None:
        self.directories = directories
        self._known: dict[tuple[int, int], float] = {}

    def __call__(self, a: Score, b: Score) -> float:
        """Standard error of the difference of two scores, in their unit."""
        pair = (id(a), id(b))
        if pair not in self._known:
            self._known[pair] = self._error(a, b)
        return self._known[pair]

    def _error(self, a: Score, b: Score) -> float:
        independent = unpaired_error(a, b)
        first, second = (self.directories.get(id(score)) for score in (a, b))
        # No correlation makes it larger than the sum, so that most pairs need no file.
        most = (a.standard_error or 0.0) + (b.standard_error or 0.0)
        files = a.per_example is not None and b.per_example is not None
        if not files or first is None or second is None or abs(a.value - b.value) > 2 * most:
            return independent
        try:
            return score_difference(a, first, b, second).standard_error
        except UserError:
            return independent


def _nats_per_unit(score: Score, examples: Sequence[ExampleNats], path: Path) -> float:
    """Nats in one unit of the score: 1 for `nll`, and the number of dimensions times log 2 for `bpd`.

    A record does not have the number of dimensions, which follows from score and file; it must be a whole number.
    """
    mean = math.fsum(example.nats for example in examples) / max(1, len(examples))
    ratio = mean / score.value if score.value else 0.0
    exact = 1.0 if score.name == "nll" else math.log(2) * max(1, round(ratio / math.log(2)))
    if not math.isclose(ratio, exact, rel_tol=_PRECISION):
        raise UserError(f"{path} is not of score {score.name} {score.value:.6g}: its mean is {mean:.6g} nats; "
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
