"""Integer codes of a trained model's encoder, as the data of a second model."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from lit_gen.data.codes_folder import read_codes, read_note
from lit_gen.data.loader import Loader
from lit_gen.data.module import SPLITS, DiscreteDataModule, Split, SplitName
from lit_gen.errors import UserError


class Codes(DiscreteDataModule):
    """Codes that ``lit-gen encode`` has written, with the labels and splits of the data that were encoded.

    Shape and number of values come from the folder's note, so the folder must exist when the data module is built.
    The name is that of the encoded data with ``_codes`` behind it. Bits per dimension are bits per code, which do not
    compare with those of the encoded data; see `lit_gen.likelihood.joint_nll`.

    Args:
        path: Folder that ``lit-gen encode`` has written.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order.

    Attributes:
        note: What the codes are, and which model encoded them.

    Raises:
        UserError: There is no such folder, or a file in it is missing or damaged.
    """

    def __init__(self, path: str, batch_size: int = 64, loader: Loader = Loader()) -> None:
        self.folder = Path(path).expanduser()
        self.note = read_note(self.folder)
        if missing := [name for name in SPLITS if name not in self.note.splits]:
            raise UserError(
                f"'{self.folder}' has no codes of {' and '.join(missing)}; encode all splits, into a new folder"
            )
        super().__init__(
            name=f"{self.note.data}_codes",
            shape=self.note.shape,
            num_levels=self.note.num_values,
            batch_size=batch_size,
            loader=loader,
        )
        self.dimension = "code"

    @override
    def read(self) -> dict[SplitName, Split]:
        """Reads the files and compares them with the note."""
        return {name: read_codes(self.folder, name, self.note) for name in SPLITS}
