"""Splits and columns of a loaded hub data set, with errors of one line that name what there is instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lit_gen.data.module import SplitName
from lit_gen.data.splits import NamedSplits
from lit_gen.errors import UserError, nearest

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class ImageColumns:
    """Names of the columns of an image data set.

    Args:
        image: Column of images (files, their bytes, or arrays of uint8); None finds the only one.
        label: Column of integer class labels; None finds it by its name or type, if there is one.
    """

    image: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class AudioColumns:
    """Names of the columns of a data set of recordings.

    Args:
        audio: Column of recordings.
        label: Column of integer class labels; None for data without labels.
    """

    audio: str = "audio"
    label: str | None = None


@dataclass(frozen=True)
class TextColumns:
    """Name of the column of a text data set, and how its rows are joined.

    Args:
        text: Column of text.
        separator: Text that is put between two rows.
    """

    text: str = "text"
    separator: str = "\n"


def named_splits(
    loaded: datasets.DatasetDict, splits: NamedSplits, path: str
) -> dict[SplitName, datasets.Dataset]:
    """The source's splits under our names; those without a name are left out.

    Raises:
        UserError: The source has no such split.
    """
    found = {}
    for ours, theirs in splits.named().items():
        if theirs not in loaded:
            there = [str(name) for name in loaded]
            carved = f", or to null to hold splits.num_{ours} out of train" if ours != "train" else ""
            raise UserError(
                f"data set '{path}' has no split '{theirs}', it has {', '.join(there)}"
                f"{nearest(theirs, there)}; set splits.{ours}{carved}"
            )
        found[ours] = loaded[theirs]
    return found


def check_column(
    split: datasets.Dataset, column: str, option: str, holds: Callable[[object], bool], content: str, path: str
) -> None:
    """Checks that a column exists and holds what is expected of it.

    Args:
        split: Split of the data set.
        column: Name of the column.
        option: Option that names the column.
        holds: Predicate of the column's feature type.
        content: What the column has to hold, for messages.
        path: What messages call the data set.

    Raises:
        UserError: The column does not exist or holds something else; the option to set is named.
    """
    features = split.features
    if column not in features:
        raise UserError(
            f"data set '{path}' has no column '{column}', it has {', '.join(features)}"
            f"{nearest(column, features)}; set {option}"
        )
    if not holds(features[column]):
        raise UserError(
            f"column '{column}' of data set '{path}' holds no {content}: {features[column]}; set {option}"
        )


def holds_integers(feature: object) -> bool:
    """Whether a column is of integers or of named classes."""
    import datasets

    integers = isinstance(feature, datasets.Value) and feature.dtype.startswith(("int", "uint"))
    return integers or isinstance(feature, datasets.ClassLabel)


def holds_images(feature: object) -> bool:
    """Whether a column is of image files, or of arrays of uint8."""
    import datasets

    arrays = isinstance(feature, datasets.Array2D | datasets.Array3D) and feature.dtype == "uint8"
    return arrays or isinstance(feature, datasets.Image)


def holds_bytes(feature: object) -> bool:
    """Whether a column is of plain bytes, or of the pairs of bytes and path that images are stored as."""
    import datasets

    inner = feature.get("bytes") if isinstance(feature, dict) else feature
    return isinstance(inner, datasets.Value) and inner.dtype in ("binary", "large_binary")


def may_hold_images(feature: object) -> bool:
    """Whether a column is of images, or of bytes that can be files of images."""
    return holds_images(feature) or holds_bytes(feature)


def holds_audio(feature: object) -> bool:
    """Whether a column is of recordings."""
    import datasets

    return isinstance(feature, datasets.Audio)


def holds_text(feature: object) -> bool:
    """Whether a column is of text."""
    import datasets

    return isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string")
