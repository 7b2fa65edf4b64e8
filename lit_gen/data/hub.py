"""Any image data set of the hub, by its id or by a local folder laid out like it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from lit_gen.data.binarize import Binarize
from lit_gen.data.decode import Transform
from lit_gen.data.folder_files import fingerprint_folder
from lit_gen.data.hub_columns import (
    ImageColumns,
    check_column,
    holds_bytes,
    holds_images,
    holds_integers,
    may_hold_images,
    named_splits,
)
from lit_gen.data.hub_source import HubSource
from lit_gen.data.image_source import Example, Found, Source
from lit_gen.data.images import CachedImages, ImageLoader
from lit_gen.data.splits import Splits
from lit_gen.errors import UserError

if TYPE_CHECKING:
    import datasets

_LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "cls")  # cls: of webdataset


class HubImages(CachedImages):
    """An image data set through the ``datasets`` library.

    ``path`` is a local folder, else the folder ``<hub.root>/<path>`` if that exists, else an id of the hub. A hub id
    that has been decoded once needs neither network nor ``datasets``: pin ``hub.revision`` if it may change.

    Args:
        path: Hub id (``ylecun/mnist``) or local folder.
        name: Name of the data in records and leaderboards.
        transform: Crop, size and channels of the images.
        hub: Version of the data set, and folder of local copies.
        columns: Names of the columns of images and labels.
        splits: Names of the source's splits, and sizes of those that it lacks.
        skip_unreadable: Whether damaged images are left out and counted in ``skipped``; an error if False.
        binarize: None, "threshold" or "dynamic"; see `BinarizableDataModule`.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, seed of the training order, and limit of memory.

    Raises:
        UserError: There is no such data set, split or column; the hub cannot be reached; an image does not fit.
    """

    splits: Splits

    def __init__(
        self,
        path: str,
        name: str,
        transform: Transform,
        hub: HubSource = HubSource(),
        columns: ImageColumns = ImageColumns(),
        splits: Splits = Splits(),
        skip_unreadable: bool = False,
        binarize: Binarize | None = None,
        batch_size: int = 128,
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
        self.path, self.hub, self.columns = path, hub, columns

    @override
    def describe(self) -> dict[str, object]:
        """Hub id and revision, or names, sizes and times of the local files; and what is read of them."""
        folder = self.hub.folder(self.path)
        source: dict[str, object] = {"hub": self.path, "revision": self.hub.revision}
        if folder is not None:
            source = {"folder": fingerprint_folder(folder)}
        columns = [self.columns.image, self.columns.label]
        return {**source, "subset": self.hub.subset, "columns": columns, "splits": self.splits.names()}

    @override
    def find(self) -> Found:
        """Opens the splits through ``datasets``."""
        opened = named_splits(self.hub.load(self.path), self.splits, self.path)
        splits = {ours: self._open(split, self.splits.named()[ours]) for ours, split in opened.items()}
        label = find_columns(opened["train"], self.columns, self.path).label
        feature = None if label is None else opened["train"].features[label]
        return Found(splits, tuple(getattr(feature, "names", None) or ()))

    def _open(self, split: datasets.Dataset, name: str) -> Source:
        columns = find_columns(split, self.columns, self.path)
        return Source(len(split), _examples(split, columns, name))


def find_columns(split: datasets.Dataset, wanted: ImageColumns, path: str) -> ImageColumns:
    """The columns to read, found by type and name unless they are given.

    Args:
        split: Split of the data set.
        wanted: Names that are given.
        path: What messages call the data set.

    Raises:
        UserError: A given column does not fit, or there is not exactly one column of images.
    """
    features = split.features
    if wanted.label is not None:
        check_column(split, wanted.label, "columns.label", holds_integers, "integers", path)
    label = _find_label(split) if wanted.label is None else wanted.label
    if wanted.image is not None:
        check_column(split, wanted.image, "columns.image", may_hold_images, "images", path)
        return ImageColumns(wanted.image, label)
    images = [name for name, feature in features.items() if holds_images(feature)]
    images = images or [name for name, feature in features.items() if holds_bytes(feature)]
    if len(images) != 1:
        found = f"{len(images)} columns of images" if images else "no column of images"
        raise UserError(f"data set '{path}' has {found} among {', '.join(features)}; set columns.image")
    return ImageColumns(images[0], label)


def _find_label(split: datasets.Dataset) -> str | None:
    import datasets

    features = split.features
    for name in _LABEL_NAMES:
        if name in features and holds_integers(features[name]):
            return name
    classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    return classes[0] if len(classes) == 1 else None


def _examples(split: datasets.Dataset, columns: ImageColumns, name: str) -> Iterator[Example]:
    import datasets

    image, label = columns.image, columns.label
    assert image is not None
    rows = split.select_columns([image] if label is None else [image, label])
    if isinstance(split.features[image], datasets.Image):
        # undecoded: Pillow is called by `Transform` alone, and no array passes through Arrow
        rows = rows.cast_column(image, datasets.Image(decode=False))
    elif not holds_bytes(split.features[image]):
        rows = rows.with_format("numpy", columns=[image], output_all_columns=True)
    row = 0
    for chunk in rows.iter(batch_size=256):
        labels = chunk[label] if label is not None else [None] * len(chunk[image])
        for pixels, number in zip(chunk[image], labels, strict=True):
            where = f"image {row} of split '{name}'"
            yield Example(image_content(pixels), None if number is None else int(number), where)
            row += 1


def image_content(value: Any) -> bytes | Path | np.ndarray:
    """What a row holds as an image; no bytes, which cannot be decoded, if it holds none."""
    if isinstance(value, dict):
        path = value.get("path")
        return value["bytes"] or (Path(path) if path else b"")
    if value is None or isinstance(value, bytes):
        return value or b""
    return np.asarray(value, np.uint8)  # declared so, but `datasets` widens integers
