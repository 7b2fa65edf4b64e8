"""Images that are larger than memory and disk, decoded while they are trained on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from typing_extensions import override

from lit_gen.data.decode import Transform
from lit_gen.data.hub_columns import ImageColumns
from lit_gen.data.hub_source import HubSource
from lit_gen.data.image_source import counted, first_of, lines_about
from lit_gen.data.module import SPLITS, DiscreteDataModule, Split, SplitName
from lit_gen.data.placement import uses_cuda
from lit_gen.data.splits import Splits
from lit_gen.data.streaming.batch_decoder import Decoder
from lit_gen.data.streaming.shard_source import OpenedShards, open_shards
from lit_gen.data.streaming.shards import Shards, SomeRows, is_empty
from lit_gen.data.streaming.stream_loader import Streaming, StreamLoader
from lit_gen.data.streaming.streamed_examples import StreamedExamples
from lit_gen.errors import UserError

_LOOKED_AT = 8  # pieces of each split whose images are looked at before training


class StreamedImages(DiscreteDataModule):
    """Images in parquet files, in tar files of webdataset, or in a folder, read and decoded as they are needed.

    ``path`` is a local folder, else the folder ``<hub.root>/<path>`` if that exists, else an id of the hub, whose
    shards are read over the network without a copy. A folder of image files is laid out as for `FolderImages`, shards
    as for `HubImages`, and so are the examples: equal images in equal splits have the same fingerprint, so their
    scores are comparable. Splits that the source lacks are taken out of its training split: of shards those of
    `HubImages`, which reads at each start the row groups in which they lie; of a folder by hashes of the files' names,
    which does not keep copies of an image together, as `FolderImages` does.

    Validation and test images are held in memory if they take no more than ``loader.max_held_out_gb``. The training
    images are never held; they are identified by the names, sizes and heads of their shards (``identity``), and copies
    of them in other splits are not searched for.

    Args:
        path: Local folder of shards or images, or hub id.
        name: Name of the data in records and leaderboards.
        transform: Crop, size and channels of the images.
        hub: Version of the data set, and folder of local copies.
        columns: Names of the columns, or fields of tar files, of images and labels.
        splits: Names of the source's splits, and sizes of those that it lacks.
        skip_unreadable: Whether damaged images are left out and counted; an error if False. Empty images are found at
            the start, but those inside parquet files only as far as the files' statistics show them.
        batch_size: Training batch size over all processes together.
        loader: Number of workers, size of the shuffle buffer, evaluation batch size, seed, and limit of memory.

    Attributes:
        skipped: Number of unreadable files that are left out at the start; known after ``setup``.
        class_names: Names of the classes in the order of their labels, empty if unknown; known after ``setup``.

    Raises:
        UserError: There is no such data set, shard, split or column; or a shard or an image cannot be read.
    """

    loader: Streaming

    def __init__(
        self,
        path: str,
        name: str,
        transform: Transform,
        hub: HubSource = HubSource(),
        columns: ImageColumns = ImageColumns(),
        splits: Splits = Splits(),
        skip_unreadable: bool = False,
        batch_size: int = 64,
        loader: Streaming = Streaming(),
    ) -> None:
        shape = (transform.channels, transform.size, transform.size)
        super().__init__(name=name, shape=shape, num_levels=256, batch_size=batch_size, loader=loader)
        loader.check(name)
        self.path, self.transform, self.hub, self.columns = path, transform, hub, columns
        self.splits, self.skip_unreadable = splits, skip_unreadable
        self.skipped = 0
        self.class_names: tuple[str, ...] = ()
        self._opened: OpenedShards | None = None

    @override
    def read(self) -> dict[SplitName, Split]:
        """Opens the shards, looks at some images of each, and decodes the held-out splits that fit into memory."""
        opened = open_shards(self.path, self.hub, self.columns, self.splits, self.name)
        self._opened, self.class_names = opened, opened.classes
        changes: Counter[str] = Counter()
        unreadable: list[str] = []
        free = self.loader.max_held_out_gb * 1e9
        splits: dict[SplitName, Split] = {}
        for name in sorted(SPLITS, key=lambda name: len(opened.splits[name])):
            shards = self._with_bytes(opened.splits[name], unreadable)
            examples = StreamedExamples(Decoder(shards, self.transform, self.skip_unreadable), self.loader.num_workers)
            size = len(shards) * int(np.prod(self.shape))
            if name != "train" and size <= free:
                free -= size
                splits[name] = _held(examples, self.loader.eval_batch_size, unreadable, changes)
            else:
                self._look_at(examples.decoder, name)
                x: Any = examples  # takes part wherever length, slices, rows and parts of a tensor suffice
                splits[name] = Split(x)
        self.skipped = len(unreadable)
        self._report(opened, splits, unreadable, changes)
        return splits

    @override
    def identity(self, name: SplitName) -> str:
        """SHA-256 of a held split's content; of one that is streamed, of its shards and of how it is decoded."""
        if isinstance(self.split(name).x, Tensor):
            return self.fingerprint(name)
        assert self._opened is not None
        held_out = [self.splits.num_val, self.splits.num_test, self.splits.seed] if self._opened.carved else None
        rule = {"shards": self._opened.fingerprint(name), "transform": asdict(self.transform), "held out": held_out}
        return hashlib.sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest()

    @override
    def label_range(self, name: SplitName) -> tuple[int, int] | None:
        """Lowest and highest label of a split, as its shards say; None if it has no labels."""
        if isinstance(self.split(name).x, Tensor):
            return super().label_range(name)
        assert self._opened is not None
        return self._opened.splits[name].label_range

    @override
    def train_hashes(self) -> None:
        """None: it would take a pass over all training images."""

    @override
    def train_loader(self, **options: Any) -> StreamLoader:
        """Batches of the training images."""
        return self._stream(self.split("train").x, batch_size=self.batch_size, **options)

    @override
    def eval_loader(self, name: SplitName, rows: Tensor | None = None) -> Any:
        """Every example of a split once, in file order; or those in ``rows``, int64 ``[M]``, in that order."""
        x: Any = self.split(name).x
        if isinstance(x, Tensor):
            return super().eval_loader(name, rows)
        examples = x if rows is None else x.select(rows)
        return self._stream(examples, batch_size=self.loader.eval_batch_size, shuffle=False, **self._ranks())

    def _stream(self, examples: Any, **options: Any) -> StreamLoader:
        return StreamLoader(examples, streaming=self.loader, pin_memory=uses_cuda(self.trainer), **options)

    def _with_bytes(self, shards: Shards, unreadable: list[str]) -> Shards:
        """The shards without images that are known to be empty, which are added to what is unreadable."""
        if not len(shards.empty):
            return shards
        names = [example.where for example in Decoder(shards, self.transform).read(shards.empty)]
        if not self.skip_unreadable:
            raise UserError(
                f"{counted(len(names), 'image', 'no bytes')} in '{self.name}': {first_of(names)}; remove them, or set "
                "skip_unreadable to true"
            )
        unreadable += [f"{name} (the file is empty)" for name in names]
        kept = np.ones(len(shards), bool)
        kept[shards.empty] = False
        if not kept.any():
            raise UserError(f"all images of a split of '{self.name}' are empty")
        return SomeRows(shards, kept)

    def _look_at(self, decoder: Decoder, name: SplitName) -> None:
        """Reads some pieces, from the first to the last, and decodes the first image of each.

        Raises:
            UserError: An image is empty, unreadable or does not fit.
        """
        counts = decoder.shards.counts
        starts = np.cumsum(counts) - counts
        for piece in np.unique(np.linspace(0, len(counts) - 1, _LOOKED_AT).astype(int)):
            examples = decoder.read(starts[piece] + np.arange(counts[piece]))
            empty = [example.where for example in examples if is_empty(example)]
            if empty and not self.skip_unreadable:
                raise UserError(
                    f"{counted(len(empty), 'image', 'no bytes')} in split '{name}' of '{self.name}': "
                    f"{first_of(empty)}; remove them, or set skip_unreadable to true"
                )
            kept = [example for example in examples if not is_empty(example)][:1]
            if not self.skip_unreadable:
                decoder.batch(kept, np.arange(len(kept))).checked()

    def _report(
        self, opened: OpenedShards, splits: dict[SplitName, Split], unreadable: list[str], changes: Counter[str]
    ) -> None:
        places: dict[SplitName, str] = {}
        for name in SPLITS:
            kind = "memory" if isinstance(splits[name].x, Tensor) else f"{len(opened.splits[name].prints)} shards"
            if name not in opened.carved:
                places[name] = kind
        meta = {
            "unreadable": unreadable,
            "left_out": opened.left_out,
            "places": places,
            "classes": list(opened.classes),
            "copies": 0,
            "changes": changes,
        }
        for line in lines_about(meta, {name: len(splits[name].x) for name in SPLITS}):
            rank_zero_info(f"data '{self.name}': {line}")


def _held(examples: StreamedExamples, size: int, unreadable: list[str], changes: Counter[str]) -> Split:
    """Decodes a split into memory."""
    x = torch.empty(tuple(examples.shape), dtype=torch.uint8)
    labels, count = [], 0
    for found in examples.decoded(size):
        batch = found.checked().batch
        x[count : count + len(batch.x)] = batch.x
        labels.append(batch.label)
        count += len(batch.x)
        unreadable += found.unreadable
        changes.update(found.changes)
    label = None if None in labels else torch.cat([part for part in labels if part is not None])
    return Split(x[:count], label)
