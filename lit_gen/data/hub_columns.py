"""Splits and columns of a loaded hub data set, named in one line where they are not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lit_gen.data.module import SplitName
from lit_gen.errors import UserError, nearest

if TYPE_CHECKING:
    import datasets


def named_splits(
    loaded: datasets.DatasetDict, names: Mapping[SplitName, str | None], path: str
) -> dict[SplitName, datasets.Dataset]:
    """The source's splits under our names; those without a name are left out.

    Raises:
        UserError: the source has no such split.
    """
    found = {}
    for ours, theirs in names.items():
        if theirs is None:
            continue
        if theirs not in loaded:
            there = [str(name) for name in loaded]
            raise UserError(
                f"data set '{path}' has no split '{theirs}', it has {', '.join(there)}"
                f"{nearest(theirs, there)}; set {ours}_split in the config"
            )
        found[ours] = loaded[theirs]
    return found


def held_out_of_train(
    names: Mapping[SplitName, str | None], num_val: int | float | None, num_test: int | float | None
) -> dict[SplitName, int | float]:
    """How much of train each split that the source lacks is given; 0 where that is not said.

    >>> held_out_of_train({"train": "train", "val": None, "test": "test"}, 300, None)
    {'val': 300}
    """
    wanted: dict[SplitName, int | float | None] = {"val": num_val, "test": num_test}
    return {ours: size or 0 for ours, size in wanted.items() if names[ours] is None}


def check_column(
    split: datasets.Dataset, column: str, argument: str, holds: Callable[[object], bool], what: str, path: str
) -> None:
    """Refuses a column that is not there, or holds something else.

    Args:
        split: of the data set.
        column: its name.
        argument: of the config that names it.
        holds: whether a feature of `datasets` is the right one.
        what: is wanted of the column.
        path: what messages call the data set.

    Raises:
        UserError: naming the argument to set.
    """
    features = split.features
    if column not in features:
        raise UserError(
            f"data set '{path}' has no column '{column}', it has {', '.join(features)}"
            f"{nearest(column, features)}; set {argument}"
        )
    if not holds(features[column]):
        raise UserError(f"{argument} '{column}' of data set '{path}' holds no {what}: {features[column]}")
