"""Assignment of files to splits by their content, so that adding files never moves a training file into test."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np

from lit_gen.data.module import SPLITS, SplitName
from lit_gen.errors import UserError

_FEWEST = 2  # files of a split that is a fraction: a standard error needs two
_ORDER: tuple[SplitName, ...] = ("test", "val")


def carve_by_content(
    digests: Sequence[bytes], sizes: Mapping[SplitName, int | float], seed: int, where: str
) -> np.ndarray:
    """Assigns each file of a training set to a split by a hash of its bytes and the seed.

    In the order of the hashes, test comes first, then validation, then train. A number takes so many files. A fraction
    f takes those whose hashes lie in the next share f of all possible hashes, but two files at least: its size is
    binomial, about f of the files. A file that is added can thus only move others backwards, from test to validation
    and from validation to train. Equal files are assigned together, so that a split may be larger than requested by
    the copies of its last.

    Args:
        digests: SHA-256 of each file.
        sizes: Number of files of each held-out split; a float below 1 is a fraction.
        seed: Seed of the order.
        where: What messages call the data.

    Returns:
        int64 ``[count]``, indices into `SPLITS`.

    Raises:
        UserError: A held-out split, or train, would be empty.
    """
    keys = [hashlib.sha256(b"%d\0" % seed + digest).digest() for digest in digests]
    ordered = sorted(keys)
    before = np.array([bisect_left(ordered, key) for key in keys], dtype=np.int64)
    assigned = np.full(len(keys), SPLITS.index("train"))
    begin, share = 0, 0.0
    for name in (name for name in _ORDER if name in sizes):
        size = sizes[name]
        if size <= 0:
            raise UserError(f"split '{name}' of {where} would be empty: splits.num_{name} is {size}; raise it")
        if isinstance(size, float) and size < 1:
            share += size
            end = max(begin + _FEWEST, _below(ordered, share))
        else:
            end = begin + int(size)
        assigned[(begin <= before) & (before < end)] = SPLITS.index(name)
        begin = end
    if begin >= len(keys) or not (assigned == SPLITS.index("train")).any():
        distinct = len(set(keys))
        equal = f", of which {distinct} are distinct," if distinct < len(keys) else ""
        raise UserError(
            f"{where} has {len(keys)} training examples{equal} and {begin} are held out; "
            "lower splits.num_val or splits.num_test, or add other files"
        )
    return assigned


def _below(ordered: Sequence[bytes], share: float) -> int:
    """Number of hashes in a share of all possible hashes."""
    return len(ordered) if share >= 1 else bisect_left(ordered, int(share * 2**64).to_bytes(8, "big"))
