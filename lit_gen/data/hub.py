"""Any image data set of the hub, by its id or by a local folder laid out like it."""

from __future__ import annotations

from lit_gen.data.binarize import Binarize
from lit_gen.data.decode import Crop, Resize, Transform
from lit_gen.data.folder import fingerprint_folder
from lit_gen.data.hub_source import Columns, load, locate, open_splits
from lit_gen.data.images import CachedImages, Source
from lit_gen.data.module import SplitName


class HubImages(CachedImages):
    """An image data set through the ``datasets`` library.

    ``path`` is a local folder, else the folder ``<root>/<path>`` where that exists, else an id of the
    hub. A hub id that has been decoded once needs neither network nor ``datasets``: pin ``revision``
    where it may change.

    Args:
        path: hub id (``ylecun/mnist``) or local folder.
        name: what records and leaderboards call the data.
        size: side of the square images that the model sees.
        channels: 1 or 3.
        subset: configuration of the hub's data set, where it has several.
        revision: commit or tag of the hub's repository.
        root: folder of local copies; default the environment variable LIT_GEN_DATA.
        image_column: None finds the one column of images (files, or arrays of uint8).
        label_column: None finds the column of classes, if any.
        crop: side of the centre crop, "square" for the largest, None for none.
        resize: kernel, or "none" to refuse images of another size.
        train_split: the source's name of the training split.
        val_split: its name of the validation split; None carves ``num_val`` from train.
        test_split: its name of the test split; None carves ``num_test`` from train.
        num_val: images carved from train by ``split_seed``, where ``val_split`` is None.
        num_test: the same for test.
        split_seed: seed of the carve.
        skip_unreadable: leave damaged images out and count them in ``skipped``, instead of refusing.
        max_memory_gb: above it the decoded images are memory-mapped.
        binarize: None, "threshold" or "dynamic"; see `BinarizableDataModule`.
        batch_size: training batch over all processes together.
        eval_batch_size: the same for validation and test.
        seed: seed of the training order and of dynamic binarisation.

    Raises:
        UserError: no such data set, split or column; the hub cannot be reached; an unfit image.
    """

    def __init__(
        self,
        path: str,
        name: str,
        size: int,
        channels: int,
        subset: str | None = None,
        revision: str | None = None,
        root: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        crop: Crop = None,
        resize: Resize = "none",
        train_split: str = "train",
        val_split: str | None = None,
        test_split: str | None = "test",
        num_val: int | None = None,
        num_test: int | None = None,
        split_seed: int = 0,
        skip_unreadable: bool = False,
        max_memory_gb: float = 2.0,
        binarize: Binarize | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 250,
        seed: int = 0,
    ) -> None:
        super().__init__(
            name=name,
            transform=Transform(size, channels, crop, resize),
            num_val=num_val,
            num_test=num_test,
            split_seed=split_seed,
            skip_unreadable=skip_unreadable,
            max_memory_gb=max_memory_gb,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            binarize=binarize,
        )
        self.path, self.subset, self.revision, self.root = path, subset, revision, root
        self.columns = Columns(image_column, label_column)
        self.split_names: dict[SplitName, str | None] = {
            "train": train_split,
            "val": val_split,
            "test": test_split,
        }

    def describe(self) -> dict[str, object]:
        """Hub id and revision, or names, sizes and times of the local files; and what is read of them."""
        folder = locate(self.path, self.root)
        source: dict[str, object] = {"hub": self.path, "revision": self.revision}
        if folder is not None:
            source = {"folder": fingerprint_folder(folder)}
        read = {"subset": self.subset, "columns": list(self.columns), "splits": self.split_names}
        return {**source, **read}

    def sources(self) -> dict[SplitName, Source]:
        """Opens the splits through ``datasets``."""
        named = {ours: theirs for ours, theirs in self.split_names.items() if theirs is not None}
        loaded = load(self.path, self.root, self.subset, self.revision)
        return open_splits(loaded, self.path, named, self.columns)
