"""What a data set of image files consists of before it is decoded, and the line that says what was found."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lit_gen.data.module import SPLITS, SplitName
from lit_gen.data.picture import CHANGES


class Example(NamedTuple):
    """One image: its file's bytes or path or its pixels, its label if any, and what messages call it."""

    image: bytes | Path | np.ndarray
    label: int | None
    where: str


@dataclass(frozen=True)
class Source:
    """The examples of one split of the source, in its own order; iterated once.

    Attributes:
        count: Number of examples.
        examples: The examples.
        digests: SHA-256 of each example's file; None if the examples are assigned to splits by their numbers.
        place: Where they lie, such as ``training/``; empty if that goes without saying.
    """

    count: int
    examples: Iterator[Example]
    digests: list[bytes] | None = None
    place: str = ""


@dataclass(frozen=True)
class Found:
    """The splits that a source has.

    Attributes:
        splits: The splits; train at least.
        classes: Names of the classes, in the order of their labels; empty if they have none.
        left_out: What is left out, such as ``2 files (not images)``.
    """

    splits: dict[SplitName, Source]
    classes: tuple[str, ...] = ()
    left_out: list[str] = field(default_factory=list)


def digest_of(file: Path, name: str) -> bytes:
    """SHA-256 of a file's bytes; of its name if it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return hashlib.sha256(f"name\0{name}".encode()).digest()


def count_copies(splits: Mapping[SplitName, Source]) -> int:
    """Number of files of the source's validation and test splits that are copies of training files."""
    train = set(splits["train"].digests or ())
    return sum(digest in train for name in splits if name != "train" for digest in splits[name].digests or ())


def lines_about(meta: Mapping[str, Any], counts: Mapping[SplitName, int]) -> list[str]:
    """What a user should know of the data, one line each.

    Args:
        meta: What was found when the data were decoded.
        counts: Number of examples of each split.
    """
    unreadable = meta["unreadable"]
    left_out = [*meta["left_out"], *([f"{unreadable_words(unreadable)}"] if unreadable else [])]
    parts = []
    if meta["places"] is not None:
        parts.append(", ".join(_split_words(name, counts[name], meta["places"]) for name in SPLITS))
        parts.append(_class_words(meta["classes"]))
    if left_out:
        parts.append(f"left out: {', '.join(left_out)}")
    lines = ["; ".join(parts)] if parts else []
    if meta["copies"]:
        lines.append(f"{meta['copies']} validation or test files are copies of training files")
    changed = [f"{meta['changes'][name]} {name}" for name in CHANGES if meta["changes"].get(name)]
    return [*lines, *([f"images: {'; '.join(changed)}"] if changed else [])]


def counted(number: int, noun: str, reason: str) -> str:
    """A number of things and why they are left out.

    >>> counted(1, "file", "not an image"), counted(2, "file", "not an image")
    ('1 file (not an image)', '2 files (not images)')
    """
    if number == 1:
        return f"1 {noun} ({reason})"
    several = re.sub(r"^not an? (\w+)$", r"not \1s", reason)
    return f"{number} {noun}s ({several})"


def first_of(names: list[str], most: int = 3) -> str:
    """The first names of a list, with dots for the others.

    >>> first_of(["a", "b", "c", "d"])
    'a, b, c, ...'
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def unreadable_words(unreadable: list[str]) -> str:
    """A number of unreadable images, with the reasons of the first."""
    noun = "image that cannot be read" if len(unreadable) == 1 else "images that cannot be read"
    return f"{len(unreadable)} {noun}: {first_of(unreadable)}"


def _split_words(name: SplitName, count: int, places: Mapping[str, str]) -> str:
    if name not in places:
        return f"{name} {count} carved"
    return f"{name} {count} in {places[name]}" if places[name] else f"{name} {count}"


def _class_words(classes: list[str]) -> str:
    noun = "class" if len(classes) == 1 else "classes"
    return f"{len(classes)} {noun}: {first_of(classes, 10)}" if classes else "no classes"
