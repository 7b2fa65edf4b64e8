"""Compares the likelihoods of two runs by their differences on the same examples."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lit_gen.errors import UserError
from lit_gen.leaderboard.best import unpaired_error
from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.figures import error_figure, score_figure
from lit_gen.leaderboard.paired import Difference, score_difference
from lit_gen.leaderboard.table import answer_text, groups_text
from lit_gen.records.question import Question, differing_fields, merge_questions, shown
from lit_gen.records.record import RECORD_NAME, read_record
from lit_gen.records.score import Score


class Comparison(NamedTuple):
    """One likelihood of two runs.

    Attributes:
        a: The first run's score.
        b: The second run's.
        difference: Their difference on the same examples, a - b, in the unit of the scores.
    """

    a: Score
    b: Score
    difference: Difference

    @property
    def digits(self) -> int:
        """Number of digits after the point at which the error of the difference shows two."""
        text = f"{self.difference.standard_error:.1e}"
        return min(9, max(3, 1 - int(text.partition("e")[2]))) if self.difference.standard_error else 6


def open_run(path: Path) -> Run:
    """The run in a folder, or of a record's path.

    Raises:
        UserError: There is no record, or it cannot be read.
    """
    file = path / RECORD_NAME if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{file} does not exist; give the folder of a run or the path of its {RECORD_NAME}")
    return Run(read_record(file), file.parent)


def compare(a: Run, b: Run, *, compare_weights: bool = False) -> tuple[list[Comparison], list[str]]:
    """All likelihoods that two runs have under the same question, in bits per dimension where they have it.

    Of several estimates, those by one estimator are compared, and all with all where the runs share none.

    Args:
        a: One run.
        b: Another, or the same for its averaged weights against its raw ones.
        compare_weights: Whether scores of averaged and of raw weights answer the same question.

    Returns:
        The comparisons, at least one, and one line for each that is not possible.

    Raises:
        UserError: There is nothing to compare.
    """
    left, right = _likelihoods(a), _likelihoods(b)
    # Of one run, each pair once and nothing with itself.
    every = itertools.combinations(left, 2) if a == b else itertools.product(left, right)
    pairs = [(s, t) for s, t in every if _same_question(s, t, compare_weights)]
    if not pairs:
        raise UserError(_no_pair(a, b, left, right, compare_weights))
    done, reasons = [], []
    for s, t in pairs:
        shared = [(x, y) for x, y in pairs if (x is s or y is t) and x.protocol.estimator == y.protocol.estimator]
        if shared and s.protocol.estimator != t.protocol.estimator:
            continue
        try:
            done.append(Comparison(s, t, score_difference(s, a.directory, t, b.directory)))
        except UserError as error:
            reasons.append(str(error))
    if not done:
        raise UserError(reasons[0])
    return done, reasons


def report(a: Run, b: Run, comparisons: Sequence[Comparison]) -> str:
    """The comparisons as text for a terminal: the numbers, and what they say in a sentence each."""
    lines = [f"A: {a.record.run_name} ({a.directory})", f"B: {b.record.run_name} ({b.directory})"]
    return "\n".join([*lines, *(line for comparison in comparisons for line in ("", *_report(comparison)))]) + "\n"


def as_tree(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain values, for JSON."""
    s, t, found = comparison
    sides = {name: {"value": score.value, "standard_error": score.standard_error, "kind": score.kind,
                    "answer": score.protocol.answer(), "protocol_hash": score.protocol.hash}
             for name, score in (("a", s), ("b", t))}
    return {"metric": s.name, "unit": s.unit, "split": s.protocol.split, **sides, "difference": found.mean,
            "standard_error": found.standard_error, "num_examples": found.num_examples,
            "num_groups": found.num_groups, "correlation": found.correlation,
            "unpaired_error": unpaired_error(s, t), "sentence": sentence(comparison)}


def sentence(comparison: Comparison) -> str:
    """What a comparison shows, and what it cannot show because of the kinds of its two likelihoods."""
    s, t, found = comparison
    digits, unit, error = comparison.digits, s.unit, found.standard_error
    where = f"on the same {found.num_examples:,} {s.protocol.split} examples"
    ratio = abs(found.mean) / error if error else math.inf
    how = f"+- {error:.{digits}f} {unit} ({ratio:.1f} standard errors) {where}" if error else f"{unit} {where}"
    if found.mean == 0 or ratio <= 2:
        said = f"A and B do not differ significantly: A - B is {found.mean:+.{digits}f} {how}"
    else:
        better, worse = ("A", "B") if found.mean < 0 else ("B", "A")
        said = f"{better} is better than {worse} by {abs(found.mean):.{digits}f} {how}"
    heavy = [name for name, score in (("A", s), ("B", t)) if score.heavy_tailed]
    doubt = f"; {' and '.join(heavy)} has too heavy a tail for this to be relied on" if heavy else ""
    return f"{said}; {_kinds(s, t, a_lower=found.mean < 0)}{doubt}."


def _kinds(s: Score, t: Score, *, a_lower: bool) -> str:
    kinds = {"A": s.kind, "B": t.kind}
    estimates = [name for name, kind in kinds.items() if kind == "estimate"]
    if estimates:
        values = "both values are estimates" if len(estimates) == 2 else f"{estimates[0]}'s value is an estimate"
        return f"{values}, which may be too low by an error that is not known, so this guarantees nothing"
    if set(kinds.values()) == {"exact"}:
        return "both values are exact, so the models themselves differ by this"
    if set(kinds.values()) == {"bound"}:
        if s.protocol.estimator == t.protocol.estimator:
            return (f"both values are bounds by the same estimator ({s.protocol.estimator}), and the models' own "
                    "values may be lower by different amounts")
        return (f"the values are bounds by different estimators ({s.protocol.estimator}, {t.protocol.estimator}), so "
                "the difference may be one of tightness alone")
    bound, exact = ("A", "B") if s.kind == "bound" else ("B", "A")
    if (bound == "A") == a_lower:
        return f"{bound}'s value is a bound and {exact}'s exact, so {bound}'s own value may be lower still"
    return (f"{bound}'s value is a bound and {exact}'s exact, so {bound}'s own value may be lower, and this shows only "
            f"that {bound} has not been shown to be better")


def _report(comparison: Comparison) -> list[str]:
    s, t, found = comparison
    digits = comparison.digits
    asked = ", ".join(str(part) for part in (s.protocol.split, _weights(s, t), s.protocol.precision) if part)
    rows = [(name, score_figure(score, digits), error_figure(score, digits),
             "; ".join(part for part in (answer_text(score), groups_text(score.error)) if part))
            for name, score in (("A", s), ("B", t))]
    over = f"{found.num_examples:,} examples"
    groups = f"{over} in {found.num_groups:,} groups" if found.num_groups < found.num_examples else over
    rows.append(("A - B", f"{found.mean:+.{digits}f}", f"+- {found.standard_error:.{digits}f}", f"paired, {groups}"))
    correlation = "none, as one is constant" if found.correlation is None else f"{found.correlation:.3f}"
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"  {row[0]:<{widths[0]}}  {row[1]:>{widths[1]}} {row[2]:<{widths[2]}}  {row[3]}".rstrip() for row in rows]
    return [f"{s.label} ({asked})", *lines, f"  correlation of A and B over examples: {correlation}",
            f"  error of A - B without pairs, for contrast: {unpaired_error(s, t):.{digits}f}", sentence(comparison)]


def _weights(s: Score, t: Score) -> str:
    left, right = s.protocol.weights, t.protocol.weights
    return f"{left} weights" if left == right else f"A {left} weights, B {right} weights"


def _likelihoods(run: Run) -> list[Score]:
    """The run's scores in bits per dimension; in nats where it has none of these, as the two are one estimate."""
    bits = [score for score in run.record.scores if score.name == "bpd"]
    return bits or [score for score in run.record.scores if score.name == "nll"]


def _question(score: Score, compare_weights: bool) -> Question:
    question = score.protocol.question()
    return {name: v for name, v in question.items() if name != "weights"} if compare_weights else question


def _same_question(s: Score, t: Score, compare_weights: bool) -> bool:
    return merge_questions(_question(s, compare_weights), _question(t, compare_weights)) is not None


def _no_pair(a: Run, b: Run, left: Sequence[Score], right: Sequence[Score], compare_weights: bool) -> str:
    for run, scores in ((a, left), (b, right)):
        if not scores:
            return f"{run.directory} has no likelihood; compare runs with bpd or nll in their record"
    if a == b:
        return (f"{a.directory} has no two likelihoods under the same question; give another run, or --compare-weights "
                "for its averaged against its raw weights")
    s, t = left[0].protocol.flat(), right[0].protocol.flat()
    ours, theirs = (_question(scores[0], compare_weights) for scores in (left, right))
    names = [n for n in differing_fields(ours, theirs) if merge_questions({n: s.get(n)}, {n: t.get(n)}) is None]
    said = ", ".join(f"{name} ({shown(s.get(name))} and {shown(t.get(name))})" for name in names)
    return (f"{a.directory} and {b.directory} have no likelihood under the same question, as they differ in "
            f"{said}; score both alike (python -m lit_gen.evaluate CHECKPOINT)")
