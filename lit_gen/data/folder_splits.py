"""How a user's folder of images or recordings is laid out: which sub-folders are splits, and which are classes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lit_gen.data.folder_files import IMAGES, FileKind, LeftOut, files_of, shown, visible_folders
from lit_gen.data.module import SplitName
from lit_gen.errors import UserError

# The words by which `datasets` knows splits, in any case.
_SPLIT_NAMES: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


@dataclass(frozen=True)
class Layout:
    """The files of a folder.

    Attributes:
        roots: Folder of each split that the folder has; of train alone if it has none.
        files: Files of each split, sorted.
        classes: Names of the classes in natural order; empty without class folders.
        labelled: Splits whose files all lie in class folders.
        left_out: Counts of what is left out, by noun and reason.
    """

    roots: dict[SplitName, Path]
    files: dict[SplitName, list[Path]]
    classes: tuple[str, ...]
    labelled: frozenset[SplitName]
    left_out: LeftOut

    def label(self, name: SplitName, file: Path) -> int | None:
        """Number of the class of a file; None if its split has no classes."""
        return self.classes.index(_class_of(file, self.roots[name])) if name in self.labelled else None


def find_layout(folder: Path, kind: FileKind = IMAGES) -> Layout:
    """Finds the splits and classes of a folder.

    Args:
        folder: The folder that the user named; its only sub-folder if the data begin one level deeper.
        kind: Which files are read.

    Raises:
        UserError: It has no such file, or its splits cannot be distinguished from its classes.
    """
    left_out: LeftOut = Counter()
    top = _begin(folder, kind)
    roots = _split_folders(top)
    files = {name: files_of(kind, root, left_out) for name, root in roots.items()}
    for name, root in roots.items():
        if not files[name]:
            endings = ", ".join(sorted(kind.extensions))
            raise UserError(f"no {kind.noun} in '{shown(root)}': put files there that end in one of {endings}")
    if roots != {"train": top} and (beside := len(files_of(kind, top)) - sum(map(len, files.values()))):
        left_out[kind.noun, "beside the split folders"] += beside
    labelled = frozenset(name for name, root in roots.items() if _has_classes(files[name], root))
    if "train" not in labelled:
        return Layout(roots, files, (), frozenset(), left_out)
    for name in labelled:
        inside_classes = [file for file in files[name] if file.parent != roots[name]]
        if strays := len(files[name]) - len(inside_classes):
            left_out[kind.noun, "beside the class folders"] += strays
        files[name] = inside_classes
    classes = {_class_of(file, roots[name]) for name in labelled for file in files[name]}
    return Layout(roots, files, tuple(sorted(classes, key=natural)), labelled, left_out)


def natural(name: str) -> tuple[list[str | int], str]:
    """Key of the natural order, in which numbers count by their value.

    >>> sorted(["10", "2", "b1", "B"], key=natural)
    ['2', '10', 'B', 'b1']
    """
    parts: list[str | int] = list(re.split(r"([0-9]+)", name.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, name


def _begin(folder: Path, kind: FileKind) -> Path:
    """The folder, or the deepest of its only sub-folders in which splits or classes lie side by side."""
    while True:
        inner = visible_folders(folder)
        if len(inner) != 1 or inner[0].name.lower() in _SPLIT_NAMES or _holds(kind, folder):
            return folder
        if not visible_folders(inner[0]) or _holds(kind, inner[0]):
            return folder
        folder = inner[0]


def _holds(kind: FileKind, folder: Path) -> bool:
    return any(file.suffix.lower() in kind.extensions and not file.name.startswith(".") for file in folder.iterdir())


def _split_folders(top: Path) -> dict[SplitName, Path]:
    inner = visible_folders(top)
    roots: dict[SplitName, Path] = {}
    for part in inner:
        name = _SPLIT_NAMES.get(part.name.lower())
        if name in roots:
            raise UserError(
                f"'{shown(top)}' has two {name} folders, '{roots[name].name}' and '{part.name}'; join or rename them"
            )
        if name is not None:
            roots[name] = part
    if "train" in roots:
        return roots
    if roots:
        first = next(iter(roots.values())).name
        raise UserError(
            f"'{shown(top)}' has a folder '{first}' but no training folder: name that 'train'; "
            f"if '{first}' is a class, rename it"
        )
    for part in inner:
        inner_name = shown(part.name)
        splits = [deeper.name for deeper in _readable_folders(part) if deeper.name.lower() in _SPLIT_NAMES]
        if any(_SPLIT_NAMES[name.lower()] == "train" for name in splits):
            raise UserError(
                f"the split folders {', '.join(splits)} lie in '{shown(part)}', one of {len(inner)} sub-folders: "
                f"set path to it, or move them to the top (train/{inner_name} instead of {inner_name}/train)"
            )
    return {"train": top}


def _readable_folders(folder: Path) -> list[Path]:
    try:
        return visible_folders(folder)
    except UserError:  # it is left out later, with a count
        return []


def _class_of(file: Path, root: Path) -> str:
    return file.relative_to(root).parts[0]


def _has_classes(files: list[Path], root: Path) -> bool:
    """Whether the sub-folders are classes: all files lie in them, or all but a few strays beside several."""
    strays = sum(file.parent == root for file in files)
    classes = {_class_of(file, root) for file in files if file.parent != root}
    if not strays:
        return bool(classes)
    return len(classes) > 1 and strays <= max(1, len(files) // 10)
