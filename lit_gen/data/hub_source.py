"""Opening a hub data set: local copy or network, its columns, and one clear line where it cannot be had."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lit_gen.data.folder import missing_folder
from lit_gen.data.images import Example, Source
from lit_gen.data.module import SplitName
from lit_gen.errors import UserError, nearest

if TYPE_CHECKING:
    import datasets

ROOT_VARIABLE = "LIT_GEN_DATA"
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_LABEL_NAMES = ("label", "labels", "fine_label", "class", "target")
_PROBE_SECONDS = 5.0


class Columns(NamedTuple):
    """Names of the columns to read; None finds them by their type."""

    image: str | None
    label: str | None


def data_root(root: str | None) -> Path | None:
    """The folder of local copies: the argument, else $LIT_GEN_DATA, else none.

    Raises:
        UserError: it is given and is not there.
    """
    chosen = root or os.environ.get(ROOT_VARIABLE)
    if not chosen:
        return None
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"the data root '{folder}' is not a folder; correct root in the config or {ROOT_VARIABLE}"
        )
    return folder


def locate(path: str, root: str | None) -> Path | None:
    """The local folder that ``path`` means, or None where it can only be a hub id.

    Raises:
        UserError: it cannot be a hub id and no such folder exists.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    base = data_root(root)
    if base is not None and (base / path).is_dir():
        return base / path
    # a folder that exists up to its last part, like data/mnst, was meant as a path and not as owner/name
    if not _HUB_ID.fullmatch(path) or (len(folder.parts) > 1 and folder.parent.is_dir()):
        raise missing_folder(folder.absolute())
    return None


def load(path: str, root: str | None, subset: str | None, revision: str | None) -> datasets.DatasetDict:
    """Loads a data set through ``datasets``, from a local copy if there is one.

    Args:
        path: hub id or folder, as the user wrote it.
        root: folder of local copies; see `data_root`.
        subset: configuration of the data set.
        revision: of the hub's repository.

    Raises:
        UserError: it cannot be had; said within seconds, network or not.
    """
    folder = locate(path, root)
    if folder is None:
        return _load_hub(path, root, subset, revision)
    import datasets

    try:
        return datasets.load_dataset(str(folder), subset)
    except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
        raise UserError(f"`datasets` cannot load the folder '{folder}': {_one_line(error)}") from error


def open_splits(
    loaded: datasets.DatasetDict, path: str, names: Mapping[SplitName, str], columns: Columns
) -> dict[SplitName, Source]:
    """Opens the splits of a loaded data set.

    Args:
        loaded: the data set.
        path: what messages call it.
        names: our split -> the source's split.
        columns: to read.

    Raises:
        UserError: a split or a column is not there.
    """
    opened: dict[SplitName, Source] = {}
    for ours, theirs in names.items():
        if theirs not in loaded:
            there = [str(name) for name in loaded]
            raise UserError(
                f"data set '{path}' has no split '{theirs}', it has {', '.join(there)}"
                f"{nearest(theirs, there)}; set {ours}_split in the config"
            )
        split = loaded[theirs]
        opened[ours] = Source(len(split), _examples(split, _find_columns(split, columns, path), theirs))
    return opened


def _load_hub(path: str, root: str | None, subset: str | None, revision: str | None) -> datasets.DatasetDict:
    import datasets
    from huggingface_hub import constants

    offline = constants.is_offline_mode() or not _answers(f"{constants.ENDPOINT}/api/datasets/{path}")
    try:
        with _offline() if offline else nullcontext():
            return datasets.load_dataset(path, subset, revision=revision)
    except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
        if offline:
            raise UserError(
                f"no data set '{path}': {_no_copy(path, data_root(root))}, none in the cache of `datasets`, "
                "and the hub cannot be reached (or HF_HUB_OFFLINE is set)"
            ) from error
        raise UserError(f"the hub's data set '{path}' cannot be loaded: {_one_line(error)}") from error


def _answers(url: str) -> bool:
    """Whether the hub answers at all: asked once, where `datasets` would try for 23 seconds."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PROBE_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # even a refusal is an answer; `datasets` will say more
    except OSError:
        return False


@contextmanager
def _offline() -> Iterator[None]:
    """`datasets` looks only at what it has downloaded before."""
    import datasets.config
    from huggingface_hub import constants

    # Both libraries read HF_HUB_OFFLINE when they are imported, which has happened by now.
    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _no_copy(path: str, base: Path | None) -> str:
    if base is None:
        return f"no such folder, {ROOT_VARIABLE} names no folder of local copies"
    copies = [str(p.relative_to(base)) for pattern in ("*", "*/*") for p in base.glob(pattern) if p.is_dir()]
    return f"no such folder, no copy in '{base}'{nearest(path, copies)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _find_columns(split: datasets.Dataset, wanted: Columns, path: str) -> Columns:
    features = split.features
    there = ", ".join(features)
    for column in wanted:
        if column is not None and column not in features:
            raise UserError(
                f"data set '{path}' has no column '{column}', it has {there}{nearest(column, features)}"
            )
    images = [name for name, feature in features.items() if _holds_images(feature)]
    if wanted.image is not None and wanted.image not in images:
        raise UserError(
            f"column '{wanted.image}' of data set '{path}' holds no images: {features[wanted.image]}"
        )
    if wanted.image is None and len(images) != 1:
        found = f"{len(images)} columns of images" if images else "no column of images"
        raise UserError(f"data set '{path}' has {found} among {there}; set image_column")
    return Columns(wanted.image or images[0], _find_label(split, wanted.label, path))


def _find_label(split: datasets.Dataset, wanted: str | None, path: str) -> str | None:
    import datasets

    features = split.features
    if wanted is not None:
        if not _holds_integers(features[wanted]):
            raise UserError(
                f"label_column '{wanted}' of data set '{path}' holds no integers: {features[wanted]}"
            )
        return wanted
    for name in _LABEL_NAMES:
        if name in features and _holds_integers(features[name]):
            return name
    classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    return classes[0] if len(classes) == 1 else None


def _holds_integers(feature: object) -> bool:
    import datasets

    return isinstance(feature, datasets.ClassLabel) or (
        isinstance(feature, datasets.Value) and feature.dtype.startswith(("int", "uint"))
    )


def _holds_images(feature: object) -> bool:
    import datasets

    arrays = isinstance(feature, datasets.Array2D | datasets.Array3D) and feature.dtype == "uint8"
    return arrays or isinstance(feature, datasets.Image)


def _examples(split: datasets.Dataset, columns: Columns, name: str) -> Iterator[Example]:
    import datasets

    image, label = columns
    assert image is not None
    rows = split.select_columns([image] if label is None else [image, label])
    if isinstance(split.features[image], datasets.Image):
        # undecoded: Pillow is called by `Transform` alone, and no array passes through Arrow
        rows = rows.cast_column(image, datasets.Image(decode=False))
    else:
        rows = rows.with_format("numpy", columns=[image], output_all_columns=True)
    row = 0
    for chunk in rows.iter(batch_size=256):
        labels = chunk[label] if label is not None else [None] * len(chunk[image])
        for pixels, number in zip(chunk[image], labels, strict=True):
            if isinstance(pixels, dict):
                pixels = pixels["bytes"] or Path(pixels["path"])
            else:
                pixels = np.asarray(pixels, np.uint8)  # declared so, but `datasets` widens integers
            yield Example(pixels, None if number is None else int(number), f"image {row} of split '{name}'")
            row += 1
