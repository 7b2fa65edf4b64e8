"""What data sets of image files share: decode once, carve by a fixed seed, cache, binarise."""

from __future__ import annotations

import abc
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lit_gen.data.binarize import BinarizableDataModule, Binarize
from lit_gen.data.cache import SplitWriter, atomic_folder, cache_key, cache_root, load_splits
from lit_gen.data.decode import Transform, UnreadableImageError
from lit_gen.data.module import SPLITS, Split, SplitName
from lit_gen.errors import UserError


class Example(NamedTuple):
    """One image: its file's bytes or path or its pixels, its label if any, and what messages call it."""

    image: bytes | Path | np.ndarray
    label: int | None
    where: str


@dataclass(frozen=True)
class Source:
    """The examples of one split of the source, in its own order; iterated once."""

    count: int
    examples: Iterator[Example]


def carve(count: int, sizes: Mapping[SplitName, int | float], seed: int, where: str) -> np.ndarray:
    """Assigns each row of a training set to a split, by a fixed seed.

    Args:
        count: rows there are.
        sizes: rows to give to each held-out split; a float below 1 is a fraction. The rest is train.
        seed: of the permutation.
        where: what messages call the data.

    Returns:
        int64 [count], indices into `SPLITS`.

    Raises:
        UserError: nothing would be left, or a held-out split would be empty.
    """
    order = np.random.default_rng(seed).permutation(count)
    assigned = np.full(count, SPLITS.index("train"))
    taken = 0
    for name, size in sizes.items():
        rows = round(size * count) if isinstance(size, float) and size < 1 else int(size)
        if rows < 1:
            raise UserError(f"split '{name}' of {where} would be empty: num_{name} is {size}; raise it")
        assigned[order[taken : taken + rows]] = SPLITS.index(name)
        taken += rows
    if taken >= count:
        raise UserError(
            f"{where} has {count} training images and {taken} are held out; lower num_val or num_test"
        )
    return assigned


class CachedImages(BinarizableDataModule):
    """Image files, decoded once into a cache, one uint8 array per split.

    The cache (``LIT_GEN_CACHE``, default ~/.cache/lit_gen) is keyed by the source, the transform and the
    carve. Splits that take less than ``max_memory_gb`` together are read into memory, larger ones are
    memory-mapped. A split of which some image has no label has none at all.

    Args:
        name: what records call the data.
        transform: what is done to each image.
        num_val: images carved from train by ``split_seed``; None where the source has a validation split.
        num_test: the same for test.
        split_seed: seed of the carve. Part of the data set's identity, so apart from ``seed``.
        skip_unreadable: leave damaged files out and count them, instead of refusing.
        max_memory_gb: see above, in 10**9 bytes.
        batch_size, eval_batch_size, seed, binarize: see `BinarizableDataModule`.

    Attributes:
        skipped: number of unreadable files left out; known after ``setup``.
    """

    def __init__(
        self,
        *,
        name: str,
        transform: Transform,
        num_val: int | float | None,
        num_test: int | float | None,
        split_seed: int,
        skip_unreadable: bool,
        max_memory_gb: float,
        batch_size: int,
        eval_batch_size: int,
        seed: int,
        binarize: Binarize | None,
    ) -> None:
        super().__init__(
            name=name,
            shape=(transform.channels, transform.size, transform.size),
            num_levels=256,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            binarize=binarize,
        )
        self.source_name = name
        self.transform = transform
        self.num_val, self.num_test = num_val, num_test
        self.split_seed = split_seed
        self.skip_unreadable = skip_unreadable
        self.max_memory_gb = max_memory_gb
        self.skipped = 0

    @abc.abstractmethod
    def describe(self) -> dict[str, object]:
        """The source as JSON values; two sources with other bytes have other descriptions."""

    @abc.abstractmethod
    def sources(self) -> dict[SplitName, Source]:
        """Opens the splits that the source has; train at least."""

    def prepare_data(self) -> None:
        """Decodes the images into the cache, if they are not there: on one process a node."""
        self._build(self._entry())

    def read_grey(self) -> dict[SplitName, Split]:
        """Reads the cache; fills it first where ``prepare_data`` has not run."""
        entry = self._entry()
        self._build(entry)
        try:
            splits, meta = load_splits(entry, self.max_memory_gb)
        except (OSError, ValueError) as error:
            raise UserError(f"the cache entry '{entry}' is damaged ({error}); delete that folder") from error
        self.skipped = int(meta["skipped"])
        return splits

    def _entry(self) -> Path:
        description = {
            "source": self.describe(),
            "transform": asdict(self.transform),
            "held_out": [self.num_val, self.num_test, self.split_seed],
            "skip_unreadable": self.skip_unreadable,
        }
        return cache_root() / f"{self.source_name}-{cache_key(description)}"

    def _build(self, entry: Path) -> None:
        if entry.is_dir():
            return
        sources = self.sources()
        wanted: dict[SplitName, int | float | None] = {"val": self.num_val, "test": self.num_test}
        held_out = {name: size or 0 for name, size in wanted.items() if name not in sources}
        assigned = carve(sources["train"].count, held_out, self.split_seed, f"data set '{self.source_name}'")
        with atomic_folder(entry) as part:
            unreadable = self._decode(sources, assigned, part)
            meta = {"source": self.describe(), "skipped": len(unreadable), "unreadable": unreadable}
            (part / "meta.json").write_text(json.dumps(meta, indent=1))

    def _decode(self, sources: dict[SplitName, Source], assigned: np.ndarray, folder: Path) -> list[str]:
        """Writes every split into ``folder``; returns what could not be read.

        A file keeps its split whether it can be read or not, so mending one never moves the others.
        """
        from tqdm import tqdm

        unreadable: list[str] = []
        total = sum(source.count for source in sources.values())
        bar = tqdm(total=total, desc=f"decoding {self.source_name}", unit="image", disable=None)
        with bar, ExitStack() as stack:
            x, label = {}, {}
            for name in SPLITS:
                x[name] = stack.enter_context(SplitWriter(folder / f"{name}.npy", self.shape, "|u1"))
                label[name] = stack.enter_context(SplitWriter(folder / f"{name}_label.npy", (), "<i8"))
            for name, source in sources.items():
                for row, example in enumerate(source.examples):
                    bar.update()
                    target = SPLITS[assigned[row]] if name == "train" else name
                    try:
                        x[target].append(self.transform(example.image, example.where))
                    except UnreadableImageError:
                        unreadable.append(example.where)
                        continue
                    if example.label is not None:
                        label[target].append(example.label)
        for name in SPLITS:
            if label[name].count != x[name].count:
                (folder / f"{name}_label.npy").unlink()
        if unreadable and not self.skip_unreadable:
            first = ", ".join(unreadable[:3]) + (", ..." if len(unreadable) > 3 else "")
            raise UserError(
                f"{len(unreadable)} of {total} images of '{self.source_name}' cannot be read: {first}; "
                "mend or remove them, or set skip_unreadable: true"
            )
        return unreadable
