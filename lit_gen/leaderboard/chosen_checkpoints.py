"""How the scored checkpoint of a row was chosen: of how many candidates, and of how many trials of a sweep."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.figures import fixed
from lit_gen.leaderboard.table import Row
from lit_gen.records.selection import Selection

_DIGITS = 3


def count_trials(runs: Sequence[Run]) -> dict[str, int]:
    """Number of runs of each sweep; records of further checkpoints of a run are no trials of their own."""
    found: dict[str, set[object]] = {}
    for run in runs:
        if sweep := run.record.selection.sweep:
            folder = run.directory
            found.setdefault(sweep, set()).add(folder.parent.parent if folder.parent.name == "evaluations" else folder)
    return {sweep: len(folders) for sweep, folders in found.items()}


def candidates(selection: Selection) -> int | None:
    """Number of candidates; of records of earlier versions that of their rule, if it names one."""
    if selection.candidates is not None:
        return selection.candidates
    found = re.fullmatch(r"best \S+ of (\d{1,9})", selection.rule)
    return int(found[1]) if found else None


def chosen_text(row: Row, trials: Mapping[str, int]) -> str:
    """How a row's checkpoints were chosen, as `best of 12 checkpoints; 40 trials`.

    Args:
        row: The row of a run, or of several seeds.
        trials: Number of trials by the sweep's id.
    """
    selections = [run.record.selection for run in row.runs if run.record]
    if not selections:
        return ""
    counts = sorted({count for s in selections if (count := candidates(s)) is not None})
    if counts:
        numbers = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
        said = f"best of {numbers}"
    else:
        said = selections[0].rule
    sweeps = {s.sweep for s in selections if s.sweep}
    total = sum(trials.get(sweep, 0) for sweep in sweeps)
    return f"{said}; {total:,} trials" if total else said


def watched_text(row: Row) -> str:
    """The best and the last validation of a run, as `val/bpd 2.128, last 2.131`; of several seeds their means."""
    selections = [run.record.selection for run in row.runs if run.record]
    best = [s.value for s in selections if s.value is not None]
    last = [s.last_value for s in selections if s.last_value is not None]
    if not best or len({s.metric for s in selections}) > 1:
        return ""
    said = f"{selections[0].metric} {fixed(sum(v / len(best) for v in best), _DIGITS)}"
    return said + (f", last {fixed(sum(v / len(last) for v in last), _DIGITS)}" if len(last) == len(best) else "")
