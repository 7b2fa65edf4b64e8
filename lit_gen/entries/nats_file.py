"""Reads likelihoods that another program computed, one for each example of a split."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.records.per_example import HEADER, read_examples


def read_nats(path: Path) -> Tensor:
    """Negative log-likelihoods in nats, in the order of the split, float64 ``[N]``.

    Args:
        path: A .npy file ``[N]``; a CSV file with the columns ``index`` and ``nats``, in any order of rows; a text file
            with a number in each line; or a file that ``evaluate --per-example`` wrote.

    Raises:
        UserError: If it cannot be read, a number is not finite, or indices are not 0..N-1, each once.
    """
    try:
        index, nats = _columns(path)
    except (OSError, ValueError, csv.Error, EOFError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        raise UserError(f"--nats={path}: {reason}") from error
    if not len(nats):
        raise UserError(f"--nats={path}: no values")
    if not np.isfinite(nats).all():
        raise UserError(f"--nats={path}: example {index[~np.isfinite(nats)][0]} has no finite value")
    if not np.array_equal(np.sort(index), np.arange(len(index))):
        raise UserError(f"--nats={path}: indices are not 0 to {len(index) - 1}, each once")
    return torch.from_numpy(nats[np.argsort(index)])


def _columns(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Indices int64 and nats float64, ``[N]`` each."""
    if path.suffix == ".npy":
        nats = np.load(path, allow_pickle=False)
        if nats.ndim != 1 or nats.dtype.kind not in "iuf":
            raise ValueError(f"an array of {nats.dtype} and shape {nats.shape}; give numbers [N]")
        return np.arange(len(nats)), nats.astype(np.float64)
    if path.suffix == ".gz":
        examples = read_examples(path)
        return np.array([one.index for one in examples], dtype=np.int64), np.array([one.nats for one in examples])
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    rows = [row for row in rows if row]
    if rows and "nats" in rows[0]:
        names = rows[0]
        place = names.index("nats")
        own = names.index("index") if "index" in names else None
        if short := [i for i, row in enumerate(rows, 1) if len(row) < len(names)]:
            raise ValueError(f"line {short[0]} has no value for each of {','.join(names)}")
        values = [float(row[place]) for row in rows[1:]]
        index = range(len(values)) if own is None else [int(row[own]) for row in rows[1:]]
        return np.array(index, dtype=np.int64), np.array(values, dtype=np.float64)
    if any(len(row) != 1 for row in rows):
        raise ValueError(f"several columns without a header; name them, as in {','.join(HEADER[:3])}")
    return np.arange(len(rows)), np.array([float(row[0]) for row in rows], dtype=np.float64)
