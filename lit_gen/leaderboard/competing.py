"""Selects the scores of a run that compete with other runs'.

A run may have many answers to one question, such as 25 samplings of one checkpoint, and the lowest of 25 is so by luck
in part. One of them competes: the run's own sampling, or the one that is best on the validation split, if all of them
are scored there. Records in which several samplings count as own, as in all of earlier versions, compete by the first
of them in the record's order; so do those without an own sampling. The choice is of a sampling and not of a score, so
that a row begins with the Frechet distance and the Inception Score of the same samples.

Validation scores with the seed of the test scores are of the same generated samples, whose luck they share; with
another seed (`--scoring.seed`) the choice is independent of the test scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lit_gen.leaderboard.best import merit
from lit_gen.records.flags import too_low
from lit_gen.records.question import canonical
from lit_gen.records.record import Record
from lit_gen.records.score import METRICS, Score


def competing(cell: Sequence[Score], record: Record) -> tuple[Score, ...]:
    """The scores of a cell that compete: one of its samplings, and every likelihood that can be relied on.

    Left out are scores on the training split, those with too heavy a tail, estimates below the entropy, and, of a cell
    with averaged and raw weights, the raw ones.

    Args:
        cell: Scores of the run that answer one question.
        record: The run's record.
    """
    chosen = chosen_sampling(cell, record)
    able = [s for s in cell if s.protocol.split != "train" and not s.heavy_tailed and not too_low(s, record)]
    return tuple(s for s in _averaged(able) if sampling(s) in (None, chosen))


def sampling(score: Score) -> str | None:
    """Equal for scores of the same samples; None for a score that is not of samples."""
    protocol = score.protocol
    if not protocol.sampler:
        return None
    return canonical([protocol.sampler, dict(protocol.sampler_settings), protocol.weights, protocol.num_samples])


def chosen_sampling(cell: Sequence[Score], record: Record) -> str | None:
    """The sampling of a cell that competes; None if it has no scores of samples."""
    names = {name for score in _averaged(cell) if (name := sampling(score))}
    if len(names) < 2:
        return next(iter(names), None)
    if on_val := _best_on_val(cell, names, record):
        return on_val
    ordered = sorted((s for s in record.scores if sampling(s) in names), key=lambda score: not score.own_sampling)
    return sampling(ordered[0])


def ranked(scores: Iterable[Score]) -> tuple[Score, ...]:
    """Scores of one cell, best first; estimates behind guarantees, unreliable ones last."""
    return tuple(sorted(scores, key=lambda score: (score.heavy_tailed, not score.guaranteed, merit(score))))


def competing_first(scores: Sequence[Score], record: Record) -> tuple[Score, ...]:
    """Scores of one cell of a run, best first, but with that of the sampling that competes in front."""
    first = chosen_sampling(scores, record)
    return tuple(sorted(ranked(scores), key=lambda score: sampling(score) != first))


def selection_text(score: Score, cell: Sequence[Score], record: Record) -> str:
    """From how many samplings, and on what, a score was chosen to be shown, as `best of 25, on test`; else empty."""
    sampled = [s for s in cell if sampling(s)]
    if len(sampled) < 2 or score not in sampled:
        return ""
    if sampling(score) == chosen_sampling(cell, record):
        names = {name for s in _averaged(sampled) if (name := sampling(s))}
        return f"best of {len(names)}, on val" if _best_on_val(cell, names, record) else ""
    split = score.protocol.split or score.protocol.reference_split
    where = f", on {split}" if split else ""
    for rivals in (sampled, [s for s in sampled if s.protocol.sampler == score.protocol.sampler]):
        if len(rivals) > 1 and min(rivals, key=merit) is score:
            return f"best of {len(rivals)}{where}"
    return ""


def metric_order(name: str, scores: Sequence[Score] = ()) -> tuple[int, bool, str]:
    """A sort key by which known metrics come first, in the order of `METRICS`.

    A distance all of whose scores carry a note, being of few examples, comes behind KID, which has no bias.

    Args:
        name: The metric's name.
        scores: Its scores.
    """
    known, base = list(METRICS), name.partition("_")[0]
    behind = base in ("fid", "fd") and bool(scores) and all(score.note for score in scores)
    base = "kid" if behind else base
    return known.index(base) if base in known else len(known), behind, name


def _best_on_val(cell: Sequence[Score], names: set[str], record: Record) -> str | None:
    """The best of the samplings on validation; None if not all of them are scored there, or the cell is of that."""
    if any(score.protocol.split == "val" for score in cell):
        return None
    # By question, since a score against another reference or with another seed is not comparable.
    found: dict[tuple[str, str], dict[str, Score]] = {}
    for score in record.scores:
        if score.protocol.split == "val" and (name := sampling(score)) in names:
            found.setdefault((score.name, score.protocol.column_key()), {})[name] = score
    complete = [same for same in found.values() if same.keys() == names]
    if not complete:
        return None
    first = min(complete, key=lambda same: metric_order(next(iter(same.values())).name, [*same.values()]))
    return min(first, key=lambda name: merit(first[name]))


def _averaged(cell: Sequence[Score]) -> Sequence[Score]:
    """The scores of averaged weights; all if there are none."""
    return [score for score in cell if score.protocol.weights == "ema"] or cell
