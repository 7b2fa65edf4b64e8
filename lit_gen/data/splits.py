"""How the data are split: names of the source's splits, and sizes of what is held out of its training data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from lit_gen.data.module import SPLITS, SplitName
from lit_gen.errors import UserError

Text = str | bytes
"""A split's whole text: str if the unit is characters, bytes if it is bytes."""


@dataclass(frozen=True)
class HeldOut:
    """Sizes of the validation and test sets that are held out of the training data.

    Args:
        num_val: Number of validation examples (characters or bytes of text), if the source has no validation split;
            a number below 1 is a fraction of the training data.
        num_test: Number of test examples, likewise.
    """

    num_val: int | float | None = None
    num_test: int | float | None = None

    def sizes(self, present: Collection[SplitName]) -> dict[SplitName, int | float]:
        """The size of each split that the source lacks; 0 if none is given.

        >>> HeldOut(num_val=300).sizes(["train", "test"])
        {'val': 300}
        """
        wanted: dict[SplitName, int | float | None] = {"val": self.num_val, "test": self.num_test}
        return {name: size or 0 for name, size in wanted.items() if name not in present}


@dataclass(frozen=True)
class RandomHeldOut(HeldOut):
    """Sizes of the validation and test sets, and the seed that assigns examples to them.

    Args:
        num_val: Number of validation examples, if the source has no validation split; a number below 1 is a fraction
            of the training data.
        num_test: Number of test examples, likewise.
        seed: Seed of the random assignment. It is part of the data set's identity, and so apart from the loader's.
    """

    seed: int = 0


@dataclass(frozen=True)
class NamedSplits(HeldOut):
    """Names of the source's splits, and the sizes of those that it lacks.

    Args:
        num_val: Number of validation examples (characters or bytes of text), if ``val`` is None; a number below 1 is a
            fraction of the training data.
        num_test: Number of test examples, if ``test`` is None, likewise.
        train: Name of the source's training split.
        val: Name of the source's validation split; None holds ``num_val`` out of the training split.
        test: Name of the source's test split; None holds ``num_test`` out of the training split.
    """

    train: str = "train"
    val: str | None = None
    test: str | None = "test"

    def names(self) -> dict[SplitName, str | None]:
        """The source's name of each split; None if it has none."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def named(self) -> dict[SplitName, str]:
        """The same without those that the source lacks."""
        return {ours: theirs for ours, theirs in self.names().items() if theirs is not None}


@dataclass(frozen=True)
class Splits(NamedSplits, RandomHeldOut):
    """Names of the source's splits, the sizes of those that it lacks, and the seed that assigns examples to them.

    Args:
        num_val: Number of validation examples, if ``val`` is None; a number below 1 is a fraction of the training
            data.
        num_test: Number of test examples, if ``test`` is None, likewise.
        train: Name of the source's training split.
        val: Name of the source's validation split; None holds ``num_val`` out of the training split.
        test: Name of the source's test split; None holds ``num_test`` out of the training split.
        seed: Seed of the random assignment. It is part of the data set's identity, and so apart from the loader's.
    """


def carve(count: int, sizes: Mapping[SplitName, int | float], seed: int, where: str) -> np.ndarray:
    """Assigns each row of a training set to a split, at random by a fixed seed.

    Args:
        count: Number of rows.
        sizes: Number of rows of each held-out split; a float below 1 is a fraction. The rest is train.
        seed: Seed of the permutation.
        where: What messages call the data.

    Returns:
        int64 ``[count]``, indices into `SPLITS`.

    Raises:
        UserError: Nothing would be left, or a held-out split would be empty.
    """
    order = np.random.default_rng(seed).permutation(count)
    assigned = np.full(count, SPLITS.index("train"))
    taken = 0
    for name, size in sizes.items():
        rows = _number(name, size, count, where)
        assigned[order[taken : taken + rows]] = SPLITS.index(name)
        taken += rows
    if taken >= count:
        raise UserError(
            f"{where} has {count} training examples and {taken} are held out; "
            "lower splits.num_val or splits.num_test"
        )
    return assigned


def hold_out_end(text: Text, sizes: Mapping[SplitName, int | float], where: str) -> dict[SplitName, Text]:
    """Divides a text from its end; what is left at the beginning is train.

    Args:
        text: Text to divide.
        sizes: Length of each held-out split, in the order of the text; a float below 1 is a fraction.
        where: What messages call the text.

    Raises:
        UserError: A split, or train, would be empty.

    >>> hold_out_end("abcdefghij", {"val": 0.2, "test": 3}, "it")
    {'train': 'abcde', 'val': 'fg', 'test': 'hij'}
    """
    total = len(text)
    lengths = {name: _number(name, size, total, where) for name, size in sizes.items()}
    begin = total - sum(lengths.values())
    if begin < 1:
        raise UserError(
            f"{where} has length {total:,} and {total - begin:,} are held out; "
            "lower splits.num_val or splits.num_test"
        )
    divided: dict[SplitName, Text] = {"train": text[:begin]}
    for name, length in lengths.items():
        divided[name] = text[begin : begin + length]
        begin += length
    return divided


def _number(name: SplitName, size: int | float, total: int, where: str) -> int:
    """The size of a held-out split as a number of examples."""
    number = round(size * total) if isinstance(size, float) and size < 1 else int(size)
    if number < 1:
        raise UserError(f"split '{name}' of {where} would be empty: splits.num_{name} is {size}; raise it")
    return number
