"""Any text data set of the hub, by its id or by a local folder laid out like it."""

from __future__ import annotations

from pathlib import Path

from lit_gen.data.hub_columns import check_column, held_out_of_train, named_splits
from lit_gen.data.hub_source import load
from lit_gen.data.module import SplitName
from lit_gen.data.text import Text, TextDataModule, Unit, hold_out_end
from lit_gen.errors import UserError


class HubText(TextDataModule):
    """A text data set through the ``datasets`` library.

    ``path`` is a local folder, else the folder ``<root>/<path>`` where that exists, else an id of the hub. The
    rows of a split are one long text, with ``separator`` between them. What the source has no split for is taken
    from the end of its training text: first comes train, then validation, then test.

    Args:
        path: hub id (``karpathy/tiny_shakespeare``) or local folder.
        name: what records and leaderboards call the data.
        length: T, characters or bytes of a window.
        unit: "characters" or "bytes"; see `TextDataModule`.
        num_levels: size of the vocabulary; None counts it, at construction where the unit is characters.
        column: the column of text.
        separator: what stands between two rows.
        subset: configuration of the hub's data set, where it has several.
        revision: commit or tag of the hub's repository.
        root: folder of local copies; default the environment variable LIT_GEN_DATA.
        train_split: the source's name of the training split.
        val_split: its name of the validation split; None takes ``num_val`` from train.
        test_split: its name of the test split; None takes ``num_test`` from train.
        num_val: characters or bytes of train held out, where ``val_split`` is None; below 1 a fraction.
        num_test: the same for test.
        batch_size: training batch over all processes together.
        eval_batch_size: the same for validation and test.
        seed: seed of the training order and of the windows' places.

    Raises:
        UserError: no such data set, split or column; the hub cannot be reached; or see `TextDataModule`.
    """

    def __init__(
        self,
        path: str,
        name: str,
        length: int,
        unit: Unit = "characters",
        num_levels: int | None = None,
        column: str = "text",
        separator: str = "\n",
        subset: str | None = None,
        revision: str | None = None,
        root: str | None = None,
        train_split: str = "train",
        val_split: str | None = "validation",
        test_split: str | None = "test",
        num_val: int | float | None = None,
        num_test: int | float | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 250,
        seed: int = 0,
    ) -> None:
        self.path, self.subset, self.revision, self.root = path, subset, revision, root
        self.column, self.separator = column, separator
        self.split_names: dict[SplitName, str | None] = {"train": train_split, "val": val_split, "test": test_split}
        self.held_out = held_out_of_train(self.split_names, num_val, num_test)
        super().__init__(
            name=name,
            unit=unit,
            length=length,
            num_levels=num_levels,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
        )

    def texts(self) -> dict[SplitName, Text]:
        """Reads the splits through ``datasets``."""
        if Path(self.path).expanduser().is_file():
            raise UserError(f"'{self.path}' is a file: set class_path to lit_gen.data.TextFile")
        loaded = load(self.path, self.root, self.subset, self.revision)
        found: dict[SplitName, Text] = {}
        for name, split in named_splits(loaded, self.split_names, self.path).items():
            check_column(split, self.column, "column", _holds_text, "text", self.path)
            text = self.separator.join(row or "" for row in split[self.column])
            found[name] = text.encode("utf-8", "surrogatepass") if self.unit == "bytes" else text
        return found | hold_out_end(found["train"], self.held_out, f"the training text of '{self.path}'")


def _holds_text(feature: object) -> bool:
    import datasets

    return isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string")
