"""Hashes of examples, by which exact copies of training examples are found in other data."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
from torch import Tensor

TRAIN_EXAMPLES = "train_examples.npy"
"""File in a run's folder with the sorted hashes of its training examples, 8 bytes each."""


def example_hashes(x: Tensor) -> np.ndarray:
    """64-bit hash of the bytes of each example.

    Two different examples have equal hashes with a probability of 5e-20: among 10,000 and 1,000,000, 5e-10.

    Args:
        x: Examples, uint8 ``[N, *shape]``.

    Returns:
        Hashes, uint64 ``[N]``.

    >>> import torch
    >>> a, b, c = example_hashes(torch.tensor([[1, 2], [1, 3], [1, 2]], dtype=torch.uint8))
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    digests = bytearray()
    # In pieces: a memory-mapped split need not fit into memory.
    for piece in x.split(examples_in(2**26, x)):
        for row in np.ascontiguousarray(piece.flatten(1).numpy()):
            digests += hashlib.blake2b(row, digest_size=8).digest()
    return np.frombuffer(bytes(digests), np.uint64)


def examples_in(size: int, x: Tensor) -> int:
    """Number of examples that take so many bytes, at least one.

    Args:
        size: Size in bytes.
        x: Examples, uint8 ``[N, *shape]``.
    """
    return max(1, size // max(1, math.prod(x.shape[1:])))


def chosen_examples(x: Tensor, rows: Tensor) -> Tensor:
    """Some of many examples; those that are streamed are not decoded yet.

    Args:
        x: Examples, uint8 ``[N, *shape]``.
        rows: Their positions, int64 ``[M]``.
    """
    found: Tensor = x[rows] if isinstance(x, Tensor) else x.select(rows)
    return found


def count_seen(x: Tensor, folder: Path) -> int | None:
    """Number of examples that are exact copies of training examples of the run in a folder; None if unknown.

    Args:
        x: Examples, uint8 ``[N, *shape]``.
        folder: The run's folder.
    """
    try:
        seen = np.load(folder / TRAIN_EXAMPLES, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return int(np.isin(example_hashes(x), seen).sum())
