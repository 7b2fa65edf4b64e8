"""Finds the shards of each split: of a local folder, or of a data set of the hub."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from lit_gen.data.content_splits import carve_by_content
from lit_gen.data.folder_files import EXTENSIONS, LeftOut, files_below, shown
from lit_gen.data.folder_splits import find_layout
from lit_gen.data.hub import find_columns
from lit_gen.data.hub_columns import ImageColumns, named_splits
from lit_gen.data.hub_source import HubSource
from lit_gen.data.image_source import counted
from lit_gen.data.module import SPLITS, SplitName
from lit_gen.data.splits import Splits, carve
from lit_gen.data.streaming.file_shards import FileShards
from lit_gen.data.streaming.parquet_shards import ParquetShards, read_footer
from lit_gen.data.streaming.shards import Shards, SomeRows
from lit_gen.data.streaming.tar_shards import TarShards
from lit_gen.errors import UserError

if TYPE_CHECKING:
    import datasets

_LOOKED_AT = 1_000  # files of a folder from which its kind is inferred
_PARQUET, _TAR = (".parquet",), (".tar", ".tar.gz", ".tgz", ".tar.xz")


@dataclass(frozen=True)
class OpenedShards:
    """The shards of all three splits.

    Attributes:
        splits: Shards of each split.
        classes: Names of the classes; empty if unknown.
        carved: Splits that the source lacks, whose images are taken out of its training split.
        left_out: What is left out, such as ``2 files (not images)``.
    """

    splits: dict[SplitName, Shards]
    classes: tuple[str, ...] = ()
    carved: tuple[SplitName, ...] = ()
    left_out: list[str] = field(default_factory=list)

    def fingerprint(self, name: SplitName) -> str:
        """SHA-256 (hex) of the names, sizes and heads of a split's shards, and of its number of images."""
        shards = self.splits[name]
        text = json.dumps([len(shards), *shards.prints])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def open_shards(path: str, hub: HubSource, columns: ImageColumns, splits: Splits, name: str) -> OpenedShards:
    """Opens a data set; reads footers of parquet files, headers of tar files, and names and sizes of image files.

    Args:
        path: Local folder, or id of the hub.
        hub: Version of the data set, and folder of local copies.
        columns: Names of the columns of images and labels.
        splits: Names of the source's splits, and sizes of those that it lacks.
        name: What messages call the data set.

    Raises:
        UserError: There is no such data set, shard, split or column, or a shard is damaged.
    """
    folder = hub.folder(path)
    if folder is not None and not _holds_shards(folder):
        return _open_folder(folder, splits, name)
    files = _data_files(path, folder, hub)
    # Whatever lies under a split's name is its files here; `named_splits` only looks names up.
    named = cast("dict[SplitName, list[str]]", named_splits(cast("datasets.DatasetDict", files), splits, path))
    base = "" if folder is None else f"{folder.absolute()}/"
    names = {split: [_name(file, base) for file in found] for split, found in named.items()}
    theirs = splits.named()
    if all(file.endswith(_PARQUET) for found in named.values() for file in found):
        features = _features(named["train"][0])
        columns = find_columns(cast("datasets.Dataset", SimpleNamespace(features=features)), columns, path)
        classes = tuple(getattr(features.get(columns.label), "names", None) or ())
        opened: dict[SplitName, Shards] = {
            split: ParquetShards(found, names[split], columns, len(classes) or None, theirs[split])
            for split, found in named.items()
        }
    else:
        classes = ()
        opened = {split: TarShards(found, names[split], columns, theirs[split]) for split, found in named.items()}
    return _with_held_out(opened, splits, name, classes, _left_out(folder))


def _open_folder(folder: Path, splits: Splits, name: str) -> OpenedShards:
    if not any(file.suffix.lower() in EXTENSIONS for file, _ in files_below(folder, Counter())):
        raise UserError(
            f"no shards and no images in '{shown(folder)}': put parquet files, webdataset's tar files or images there"
        )
    layout = find_layout(folder)
    opened: dict[SplitName, Shards] = {part: FileShards(layout, part, folder) for part in layout.roots}
    left_out = [counted(n, noun, shown(why)) for (noun, why), n in sorted(layout.left_out.items()) if n]
    return _with_held_out(opened, splits, name, tuple(map(shown, layout.classes)), left_out)


def _with_held_out(
    opened: dict[SplitName, Shards], splits: Splits, name: str, classes: tuple[str, ...], left_out: list[str]
) -> OpenedShards:
    """Takes the splits that the source lacks out of its training split, as the in-memory data modules do."""
    train, sizes, where = opened["train"], splits.sizes(opened), f"data set '{name}'"
    if sizes:
        if isinstance(train, FileShards):
            assigned = carve_by_content(train.digests(), sizes, splits.seed, where)
        else:
            assigned = carve(len(train), sizes, splits.seed, where)
        for split in ("train", *sizes):
            opened[split] = SomeRows(train, assigned == SPLITS.index(split))
    for split, shards in opened.items():
        if not len(shards):
            raise UserError(f"split '{split}' of {where} is empty; it needs at least one example")
    return OpenedShards(opened, classes, tuple(sizes), left_out)


def _holds_shards(folder: Path) -> bool:
    """Whether a folder holds shards and not image files; a walk over a million of those would take a while."""
    first = itertools.islice(files_below(folder, Counter()), _LOOKED_AT)
    return any(file.name.lower().endswith(_PARQUET + _TAR) for file, _ in first)


def _left_out(folder: Path | None) -> list[str]:
    """Files of a local folder that are neither shards nor descriptions of them."""
    if folder is None:
        return []
    left_out: LeftOut = Counter()
    for file, _ in files_below(folder, left_out):
        if not file.name.lower().endswith((*_PARQUET, *_TAR, ".md", ".json", ".txt")) and file.name[0] != ".":
            left_out["file", "not a shard"] += 1
    return [counted(n, noun, shown(why)) for (noun, why), n in sorted(left_out.items()) if n]


def _data_files(path: str, folder: Path | None, hub: HubSource) -> Mapping[str, Sequence[str]]:
    """Paths or addresses of the shards by the source's names of splits, as `datasets` finds them."""
    config = hub.builder(path).config
    found = {str(split): [str(file) for file in files] for split, files in (config.data_files or {}).items()}
    kinds = {_kind(file) for files in found.values() for file in files}
    if kinds not in ({"parquet"}, {"tar"}):
        which = ", ".join(sorted(kinds)) or "nothing"
        raise UserError(
            f"data set '{path}' has no shards that can be streamed: parquet files or tar files are needed, all of one "
            f"kind, and it holds {which}; use HubImages for it"
        )
    return found


def _kind(file: str) -> str:
    lower = file.lower()
    if lower.endswith(_PARQUET):
        return "parquet"
    return "tar" if lower.endswith(_TAR) else f"'{lower.rpartition('/')[2][-20:]}'"


def _features(file: str) -> Any:
    import datasets

    return datasets.Features.from_arrow_schema(read_footer(file).schema.to_arrow_schema())


def _name(file: str, base: str) -> str:
    """Name of a shard that stays the same when the data set is moved."""
    return file.removeprefix(base) if base else file.rpartition("@")[2]
