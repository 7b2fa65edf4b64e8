"""Any text data set of the hub, by its id or by a local folder laid out like it."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from lit_gen.data.hub_columns import TextColumns, check_column, holds_text, named_splits
from lit_gen.data.hub_source import HubSource
from lit_gen.data.loader import Loader
from lit_gen.data.module import SplitName
from lit_gen.data.splits import NamedSplits, Text, hold_out_end
from lit_gen.data.text import TextDataModule, Unit
from lit_gen.errors import UserError


class HubText(TextDataModule):
    """A text data set through the ``datasets`` library.

    ``path`` is a local folder, else the folder ``<hub.root>/<path>`` if that exists, else an id of the hub. The rows
    of a split are joined to one long text. Splits that the source lacks are taken from the end of its training text:
    first comes train, then validation, then test.

    Args:
        path: Hub id (``karpathy/tiny_shakespeare``) or local folder.
        name: Name of the data in records and leaderboards.
        length: T, number of characters or bytes of a window.
        unit: "characters" or "bytes"; see `TextDataModule`.
        num_levels: Size of the vocabulary; None counts it, at construction if the unit is characters.
        columns: Name of the column of text, and separator of its rows.
        hub: Version of the data set, and folder of local copies.
        splits: Names of the source's splits, and sizes of those that it lacks.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order and of the windows' positions.

    Raises:
        UserError: There is no such data set, split or column; the hub cannot be reached; or see `TextDataModule`.
    """

    def __init__(
        self,
        path: str,
        name: str,
        length: int,
        unit: Unit = "characters",
        num_levels: int | None = None,
        columns: TextColumns = TextColumns(),
        hub: HubSource = HubSource(),
        splits: NamedSplits = NamedSplits(val="validation"),
        batch_size: int = 64,
        loader: Loader = Loader(),
    ) -> None:
        self.path, self.columns, self.hub, self.splits = path, columns, hub, splits
        super().__init__(
            name=name, unit=unit, length=length, num_levels=num_levels, batch_size=batch_size, loader=loader
        )

    @override
    def texts(self) -> dict[SplitName, Text]:
        """Reads the splits through ``datasets``."""
        if Path(self.path).expanduser().is_file():
            raise UserError(f"'{self.path}' is a file: set class_path to lit_gen.data.TextFile")
        column, found = self.columns.text, dict[SplitName, Text]()
        for name, split in named_splits(self.hub.load(self.path), self.splits, self.path).items():
            check_column(split, column, "columns.text", holds_text, "text", self.path)
            text = self.columns.separator.join(row or "" for row in split[column])
            found[name] = text.encode("utf-8", "surrogatepass") if self.unit == "bytes" else text
        sizes = self.splits.sizes(found)
        return found | hold_out_end(found["train"], sizes, f"the training text of '{self.path}'")
