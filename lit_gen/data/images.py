"""What data sets of image files share: decode once, split by a fixed seed, cache, binarize."""

from __future__ import annotations

import abc
import json
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from typing_extensions import override

from lit_gen.data.binarize import BinarizableDataModule, Binarize
from lit_gen.data.cache import SplitWriter, atomic_folder, cache_key, cache_root, load_splits
from lit_gen.data.content_splits import carve_by_content
from lit_gen.data.decode import Transform
from lit_gen.data.image_source import Found, Source, count_copies, first_of, lines_about
from lit_gen.data.loader import Loader
from lit_gen.data.module import SPLITS, Split, SplitName
from lit_gen.data.picture import UnreadableImageError
from lit_gen.data.splits import RandomHeldOut, carve
from lit_gen.errors import UserError
from lit_gen.screen.bars import open_bar


@dataclass(frozen=True)
class ImageLoader(Loader):
    """Options of an image data set's loaders that few experiments change.

    Args:
        eval_batch_size: Batch size of validation and test over all processes together.
        seed: Seed of the training order and of dynamic binarization; never of the splits.
        max_memory_gb: Size in 10**9 bytes, over all splits, above which decoded images are memory-mapped.
    """

    max_memory_gb: float = 2.0


class CachedImages(BinarizableDataModule):
    """Image files, decoded once into a cache, one uint8 array per split.

    The cache (``LIT_GEN_CACHE``, default ~/.cache/lit_gen) is keyed by the source, the transform and the splits.
    Splits that take less than ``loader.max_memory_gb`` together are read into memory, larger ones are memory-mapped.
    A split in which some image has no label has no labels.

    Args:
        name: Name of the data in records, without the suffix of binarization.
        transform: Crop, size and channels of the images.
        splits: Sizes of the validation and test sets if the source lacks them, and the seed of their choice.
        skip_unreadable: Whether damaged images are left out and counted; an error if False.
        binarize: None, "threshold" or "dynamic"; see `BinarizableDataModule`.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, seed of the training order, and limit of memory.

    Attributes:
        skipped: Number of unreadable files that are left out; known after ``setup``.
        copies: Number of files in the source's own validation and test splits that are copies of training files;
            known after ``setup``.
        class_names: Names of the classes in the order of their labels, empty if unknown; known after ``setup``.
    """

    def __init__(
        self,
        *,
        name: str,
        transform: Transform,
        splits: RandomHeldOut,
        skip_unreadable: bool,
        binarize: Binarize | None,
        batch_size: int,
        loader: ImageLoader,
    ) -> None:
        super().__init__(
            name=name,
            shape=(transform.channels, transform.size, transform.size),
            num_levels=256,
            binarize=binarize,
            batch_size=batch_size,
            loader=loader,
        )
        self.source_name = name
        self.transform = transform
        self.splits = splits
        self.skip_unreadable = skip_unreadable
        self.max_memory_gb = loader.max_memory_gb
        self.skipped = self.copies = 0
        self.class_names: tuple[str, ...] = ()

    @abc.abstractmethod
    def describe(self) -> dict[str, object]:
        """The source as JSON values; two sources with other bytes have other descriptions."""

    @abc.abstractmethod
    def find(self) -> Found:
        """Opens the splits that the source has."""

    @override
    def prepare_data(self) -> None:
        """Decodes the images into the cache, unless they are there; called on one process per node."""
        self._build(self._entry())

    @override
    def read_grey(self) -> dict[SplitName, Split]:
        """Reads the cache; fills it first if ``prepare_data`` has not run."""
        entry = self._entry()
        self._build(entry)
        try:
            splits, meta = load_splits(entry, self.max_memory_gb)
        except (OSError, ValueError) as error:
            raise UserError(f"the cache entry '{entry}' is damaged ({error}); delete that folder") from error
        self.skipped = len(meta["unreadable"])
        self.copies, self.class_names = int(meta["copies"]), tuple(meta["classes"])
        for line in lines_about(meta, {name: len(splits[name].x) for name in SPLITS}):
            rank_zero_info(f"data '{self.source_name}': {line}")
        return splits

    def _entry(self) -> Path:
        description = {
            "source": self.describe(),
            "transform": asdict(self.transform),
            "held_out": [self.splits.num_val, self.splits.num_test, self.splits.seed],
            "skip_unreadable": self.skip_unreadable,
        }
        return cache_root() / f"{self.source_name}-{cache_key(description)}"

    def _build(self, entry: Path) -> None:
        if entry.is_dir():
            return
        found = self.find()
        sources = found.splits
        assigned = self._carve(sources)
        with atomic_folder(entry) as part:
            changes: Counter[str] = Counter()
            unreadable = self._decode(sources, assigned, part, changes)
            meta = {
                "source": self.describe(),
                "unreadable": unreadable,
                "changes": changes,
                "places": self._places(sources),
                "classes": found.classes,
                "left_out": found.left_out,
                "copies": count_copies(sources),
            }
            (part / "meta.json").write_text(json.dumps(meta, indent=1))

    def _carve(self, sources: dict[SplitName, Source]) -> np.ndarray:
        """The split of each example of the source's training split, int64 ``[count]``."""
        train, where = sources["train"], f"data set '{self.source_name}'"
        sizes, seed = self.splits.sizes(sources), self.splits.seed
        if train.digests is None:
            return carve(train.count, sizes, seed, where)
        return carve_by_content(train.digests, sizes, seed, where)

    def _places(self, sources: dict[SplitName, Source]) -> dict[SplitName, str] | None:
        """Where the source's splits lie; None if the user has not laid them out."""
        return None if sources["train"].digests is None else {name: part.place for name, part in sources.items()}

    def _decode(
        self, sources: dict[SplitName, Source], assigned: np.ndarray, folder: Path, changes: Counter[str]
    ) -> list[str]:
        """Writes every split into ``folder``; returns what could not be read and why, and counts ``changes``.

        Files are assigned to splits before it is known which can be read.
        """
        unreadable: list[str] = []
        total = sum(source.count for source in sources.values())
        bar = open_bar(f"decoding {self.source_name}", total, "images", brief=True)
        with closing(bar), ExitStack() as stack:
            x, label = {}, {}
            for name in SPLITS:
                x[name] = stack.enter_context(SplitWriter(folder / f"{name}.npy", self.shape, "|u1"))
                label[name] = stack.enter_context(SplitWriter(folder / f"{name}_label.npy", (), "<i8"))
            for name, source in sources.items():
                for row, example in enumerate(source.examples):
                    bar.update()
                    target = SPLITS[assigned[row]] if name == "train" else name
                    try:
                        x[target].append(self.transform(example.image, example.where, changes))
                    except UnreadableImageError as error:
                        unreadable.append(f"{example.where} ({error})")
                        continue
                    if example.label is not None:
                        label[target].append(example.label)
        for name in SPLITS:
            if label[name].count != x[name].count:
                (folder / f"{name}_label.npy").unlink()
        if unreadable and not self.skip_unreadable:
            raise UserError(
                f"{len(unreadable)} of {total} images of '{self.source_name}' cannot be read: {first_of(unreadable)}; "
                "repair or remove them, or set skip_unreadable to true"
            )
        return unreadable
