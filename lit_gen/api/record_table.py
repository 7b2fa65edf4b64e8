"""``lit_gen.read_records``: the scores of all runs below a folder as a table."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from lit_gen.errors import UserError, print_warning
from lit_gen.leaderboard.collect import Run, find_runs, no_record
from lit_gen.records.score import Score


def read_records(folder: str | Path, *, frame: bool | None = None) -> Any:
    """Reads all records below a folder: a row for each score, with its protocol and the costs of the run.

    Needs neither torch nor the data. Records that cannot be read are left out with a warning.

    Args:
        folder: Folder of the runs.
        frame: Whether to return a pandas DataFrame (True) or a list of dictionaries (False); if not given, a DataFrame
            if pandas is installed.

    Returns:
        The table. Columns: ``run``, ``family``, ``model``, ``data``, ``score`` (such as ``bpd``), ``value``,
        ``standard_error``, ``kind`` (``exact``, ``bound`` or ``estimate`` of a likelihood), ``unit``,
        ``higher_is_better``, ``split``, ``estimator``, ``sampler``, ``num_examples``, ``num_samples``, ``weights``,
        ``protocol_hash``, ``parameters``, ``examples_seen``, ``train_seconds``, ``seconds_per_1000_samples``,
        ``function_evaluations_per_sample``, ``seed``, ``created`` (ISO 8601), ``folder``. Absent values are None.

    Raises:
        UserError: If there is no such folder or no record in it, or a DataFrame is asked for and pandas is missing.
    """
    installed = importlib.util.find_spec("pandas") is not None
    if frame and not installed:
        raise UserError("read_records: pandas is not installed: pip install pandas, or frame=False for a list")
    found = find_runs(Path(folder).expanduser())
    for line in found.left_out:
        print_warning(line)
    if not found.runs:
        raise no_record(Path(folder), found)
    rows = [_row(run, score) for run in found.runs for score in run.record.scores]
    return importlib.import_module("pandas").DataFrame(rows) if installed and frame is not False else rows


def _row(run: Run, score: Score) -> dict[str, Any]:
    record, protocol, cost = run.record, score.protocol, run.record.cost
    return {
        "run": record.run_name,
        "family": record.family,
        "model": record.model,
        "data": protocol.data,
        "score": score.name,
        "value": score.value,
        "standard_error": score.standard_error,
        "kind": score.kind,
        "unit": score.unit,
        "higher_is_better": score.higher_is_better,
        "split": protocol.split,
        "estimator": protocol.estimator,
        "sampler": protocol.sampler,
        "num_examples": protocol.num_examples,
        "num_samples": protocol.num_samples,
        "weights": protocol.weights,
        "protocol_hash": protocol.hash,
        "parameters": cost.parameters,
        "examples_seen": cost.examples_seen,
        "train_seconds": cost.train_seconds,
        "seconds_per_1000_samples": cost.seconds_per_1000_samples,
        "function_evaluations_per_sample": cost.function_evaluations_per_sample,
        "seed": record.seed,
        "created": record.created,
        "folder": str(run.directory),
    }
