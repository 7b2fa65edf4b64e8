"""A user's own folder of images: no code, no labels needed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from typing_extensions import override

from lit_gen.data.binarize import Binarize
from lit_gen.data.decode import Transform
from lit_gen.data.images import CachedImages, Example, ImageLoader, Source
from lit_gen.data.module import SplitName
from lit_gen.data.splits import RandomHeldOut
from lit_gen.errors import UserError, nearest

EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
_SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def missing_folder(path: Path) -> UserError:
    """The error for a folder that does not exist; names its deepest parent that does, and the nearest entry there."""
    there = path
    while not there.is_dir():
        there = there.parent
    step = path.relative_to(there).parts[0]
    if there.joinpath(step).exists():
        return UserError(f"'{path}' is a file: path must be a folder of images")
    siblings = [entry.name for entry in there.iterdir()]
    return UserError(f"no folder '{path}': '{there}' has no '{step}'{nearest(step, siblings)}")


def fingerprint_folder(folder: Path) -> str:
    """SHA-256 over the names, sizes and times of all files below a folder; reads none of them."""
    digest = hashlib.sha256()
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            status = os.stat(os.path.join(parent, name))
            relative = os.path.relpath(os.path.join(parent, name), folder)
            digest.update(f"{relative}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def image_files(folder: Path) -> list[Path]:
    """All image files below a folder, by extension, sorted by path; hidden ones are left out."""
    found = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = [name for name in files if not name.startswith(".")]
        found += [Path(parent, name) for name in visible if Path(name).suffix.lower() in EXTENSIONS]
    return sorted(found)


class FolderImages(CachedImages):
    """All images below a folder, of any file type that Pillow reads.

    Splits are the sub-folders train, val (or valid, validation) and test if there is a ``train``; the others are held
    out of train by a fixed seed. If every image lies in a sub-folder, the first one is its class.

    Args:
        path: Folder of images.
        name: Name of the data in records and leaderboards.
        transform: Crop, size and channels of the images.
        splits: Sizes of the validation and test sets that have no sub-folder, and the seed of their choice.
        skip_unreadable: Whether damaged images are left out and counted in ``skipped``; an error if False.
        binarize: None, "threshold" or "dynamic"; see `BinarizableDataModule`.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, seed of the training order, and limit of memory.

    Raises:
        UserError: There is no such folder, no image in it, or one that is unreadable or does not fit.
    """

    def __init__(
        self,
        path: str,
        name: str,
        transform: Transform,
        splits: RandomHeldOut = RandomHeldOut(num_val=0.1, num_test=0.1),
        skip_unreadable: bool = False,
        binarize: Binarize | None = None,
        batch_size: int = 64,
        loader: ImageLoader = ImageLoader(),
    ) -> None:
        super().__init__(
            name=name,
            transform=transform,
            splits=splits,
            skip_unreadable=skip_unreadable,
            binarize=binarize,
            batch_size=batch_size,
            loader=loader,
        )
        self.path = path

    @override
    def describe(self) -> dict[str, object]:
        """Names, sizes and times of the files."""
        return {"folder": fingerprint_folder(self._folder())}

    @override
    def sources(self) -> dict[SplitName, Source]:
        """Lists the files of each split."""
        folder = self._folder()
        named = [part for part in sorted(folder.iterdir()) if part.is_dir() and part.name in _SPLIT_FOLDERS]
        roots: dict[SplitName, Path] = {_SPLIT_FOLDERS[part.name]: part for part in named}
        if "train" not in roots:
            roots = {"train": folder}
        files = {name: image_files(root) for name, root in roots.items()}
        for name, root in roots.items():
            if not files[name]:
                endings = ", ".join(sorted(EXTENSIONS))
                raise UserError(f"no image in '{root}': put files there that end in one of {endings}")
        below = [file.relative_to(roots[name]).parts for name, found in files.items() for file in found]
        nested = all(len(parts) > 1 for parts in below)
        number = {c: i for i, c in enumerate(sorted({parts[0] for parts in below}))} if nested else {}
        return {
            name: Source(len(found), _examples(found, roots[name], folder, number))
            for name, found in files.items()
        }

    def _folder(self) -> Path:
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise missing_folder(folder.absolute())
        return folder


def _examples(files: list[Path], root: Path, folder: Path, number: dict[str, int]) -> Iterator[Example]:
    for file in files:
        label = number[file.relative_to(root).parts[0]] if number else None
        yield Example(file, label, str(file.relative_to(folder)))
