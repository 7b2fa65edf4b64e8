"""Assignment of files to splits by their content, so that adding files never moves a training file into test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from lit_gen.data.module import SplitName
from lit_gen.errors import UserError

_FEWEST = 2  # files of a split that is a fraction: a standard error needs two
_ORDER: tuple[SplitName, ...] = ("test", "val")


def content_hash(content: bytes) -> int:
    """A 64-bit hash of a file's bytes, uniform in 0..2**64-1."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def carve_by_content(hashes: Sequence[int], sizes: Mapping[SplitName, int | float], where: str) -> list[SplitName]:
    """Assigns each file of a training set to a split by the hash of its bytes.

    In the order of the hashes, test comes first, then validation, then train. A number takes so many different files.
    A fraction f takes those whose hashes lie in the next share f of all possible hashes, but two files at least: its
    size is binomial, about f of the files. In both cases a file that is added moves no other from train into
    validation or test, nor from validation into test; only a file of the least ones that a number or the minimum takes
    may move the other way. Copies of a file have its split.

    Args:
        hashes: The `content_hash` of each file.
        sizes: Number of files of each held-out split; a float below 1 is a fraction. The rest is train.
        where: What messages call the data.

    Returns:
        The split of each file.

    Raises:
        UserError: A held-out split, or train, would be empty.

    >>> carve_by_content([9, 3, 7, 1, 9], {"val": 1, "test": 1}, "it")
    ['train', 'val', 'train', 'test', 'train']
    """
    ordered = sorted(set(hashes))
    split: dict[int, SplitName] = {}
    taken, share = 0, 0.0
    for name in _ORDER:
        if name not in sizes:
            continue
        size = sizes[name]
        if size <= 0:
            raise UserError(f"split '{name}' of {where} would be empty: splits.num_{name} is {size}; raise it")
        if isinstance(size, float) and size < 1:
            share += size
            end = max(taken + _FEWEST, sum(number < share * 2**64 for number in ordered))
        else:
            end = taken + int(size)
        split |= dict.fromkeys(ordered[taken:end], name)
        taken = end
    if taken >= len(ordered):
        raise UserError(
            f"{where} has {len(ordered)} different training files and {taken} are held out;"
            " lower splits.num_val or splits.num_test, or add files"
        )
    return [split.get(number, "train") for number in hashes]
