"""Text as integers: characters of a vocabulary, or bytes; and a user's own text file."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.data.loader import Loader
from lit_gen.data.module import SPLITS, Modality, SplitName
from lit_gen.data.sequences import Pieces, SequenceDataModule
from lit_gen.data.splits import HeldOut, Text, hold_out_end
from lit_gen.errors import UserError, nearest

Unit = Literal["characters", "bytes"]
_BLOCK = 2**20  # characters that are encoded in four bytes each at once
_SHOWN = 5  # characters that a message names


class TextDataModule(SequenceDataModule, abc.ABC):
    """Windows of T characters or bytes, uint8 [T]; bits/dim are bits per character, or per byte.

    - ``unit="characters"``: Unicode code points, numbered in their order. The vocabulary is that of the training
      text alone. A character in validation or test that it lacks is an error and not mapped to an "unknown" token:
      a token that stands for many characters has a higher probability than each of them, so the score would not be
      the text's.
    - ``"bytes"``: UTF-8, 256 values; any text in any script.

    A subclass sets what `texts` needs before it calls this constructor.

    Args:
        name: Name of the data in records and leaderboards.
        unit: "characters" or "bytes"; see above.
        length: T, number of characters or bytes of a window.
        num_levels: Size of the vocabulary, checked in ``setup``. None counts it: for characters the text is then
            read at construction. Always 256 for bytes.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order and of the windows' positions.

    Raises:
        UserError: There are more than 256 different characters, or another number than ``num_levels``, or characters
            that the training text lacks.
    """

    modality: ClassVar[Modality] = "text"

    def __init__(
        self,
        *,
        name: str,
        unit: Unit,
        length: int,
        num_levels: int | None,
        batch_size: int,
        loader: Loader,
    ) -> None:
        self.name, self.unit = name, unit
        self._held: Mapping[SplitName, Text] | None = None
        if unit == "bytes" and num_levels not in (None, 256):
            raise UserError(f"num_levels of data set '{name}' is {num_levels}: bytes have 256; leave it out")
        if num_levels is None:
            num_levels = 256 if unit == "bytes" else len(self._vocabulary(self._texts()["train"], None))
        super().__init__(
            name=name,
            shape=(length,),
            num_levels=num_levels,
            batch_size=batch_size,
            loader=loader,
            noun=unit,
        )
        self._symbols = ""

    @abc.abstractmethod
    def texts(self) -> Mapping[SplitName, Text]:
        """Reads the text of all three splits."""

    @property
    def symbols(self) -> str:
        """The vocabulary: value i is the character at position i; empty for bytes."""
        if self.unit == "characters" and not self._symbols:
            self.setup()
        return self._symbols

    def use_symbols(self, symbols: str) -> None:
        """Sets the vocabulary of data that are not read, for texts of a trained model."""
        self._symbols = symbols

    def encode(self, text: str) -> Tensor:
        """Values of a text: uint8 ``[L]``.

        Raises:
            UserError: A character is outside the vocabulary.
        """
        if self.unit == "bytes":
            return _integers(text.encode("utf-8", "surrogatepass"))
        return _numbered(text, self.symbols, "the text", self.name)

    def decode(self, x: Tensor) -> str:
        """The text of values ``[L]``; bytes that are not UTF-8 become the replacement character."""
        if self.unit == "bytes":
            return bytes(x.flatten().tolist()).decode("utf-8", "replace")
        symbols = self.symbols
        return "".join(symbols[value] for value in x.flatten().tolist())

    @override
    def read_pieces(self) -> dict[SplitName, Pieces]:
        """Reads the text and numbers it."""
        texts, self._held = self._texts(), None
        if self.unit == "bytes":
            return {name: Pieces([_integers(texts[name])]) for name in SPLITS}
        self._symbols = self._vocabulary(texts["train"], self.num_levels)
        wholes = {name: _numbered(texts[name], self._symbols, f"the {name} text", self.name) for name in SPLITS}
        return {name: Pieces([whole]) for name, whole in wholes.items()}

    @override
    def meaning(self) -> str:
        """The unit, and the vocabulary."""
        return f"{self.unit}: {self._symbols}"

    def _texts(self) -> Mapping[SplitName, Text]:
        if self._held is None:
            self._held = self.texts()
        return self._held

    def _vocabulary(self, text: Text, expected: int | None) -> str:
        found = "".join(sorted(set(str(text))))
        where = f"the training text of data set '{self.name}' has {len(found):,} different characters"
        if len(found) > 256:
            raise UserError(f"{where}, and at most 256 values fit; set unit to bytes")
        if expected is not None and len(found) != expected:
            raise UserError(f"{where}, and num_levels is {expected}; set num_levels to {len(found)}")
        return found


class TextFile(TextDataModule):
    """One file of UTF-8 text (or, as bytes, any file at all): no code needed.

    Its end is held out: first comes train, then validation, then test, in the order of the file. Line endings are
    kept.

    Args:
        path: Path of the file.
        name: Name of the data in records and leaderboards.
        length: T, number of characters or bytes of a window.
        unit: "bytes" or "characters"; see `TextDataModule`.
        num_levels: Size of the vocabulary; None counts it, at construction if the unit is characters.
        splits: Numbers or fractions of characters or bytes that are held out for validation and test.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order and of the windows' positions.

    Raises:
        UserError: There is no such file, it is not UTF-8, or too short; or see `TextDataModule`.
    """

    def __init__(
        self,
        path: str,
        name: str,
        length: int,
        unit: Unit = "bytes",
        num_levels: int | None = None,
        splits: HeldOut = HeldOut(num_val=0.05, num_test=0.05),
        batch_size: int = 64,
        loader: Loader = Loader(),
    ) -> None:
        self.path, self.splits = path, splits
        super().__init__(
            name=name, unit=unit, length=length, num_levels=num_levels, batch_size=batch_size, loader=loader
        )

    @override
    def texts(self) -> dict[SplitName, Text]:
        """Reads the file and divides it."""
        file = Path(self.path).expanduser()
        if file.is_dir():
            raise UserError(f"'{file}' is a folder: path must be a file of text (a hub's folder is for HubText)")
        if not file.is_file():
            there = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
            raise UserError(f"no file '{file}'{nearest(file.name, there)}; correct path")
        content, sizes = file.read_bytes(), self.splits.sizes(["train"])
        if self.unit == "bytes":
            return hold_out_end(content, sizes, f"'{file}'")
        try:
            return hold_out_end(content.decode(), sizes, f"'{file}'")
        except UnicodeDecodeError as error:
            raise UserError(
                f"'{file}' is not UTF-8 (byte {error.start}); convert it, or set unit to bytes"
            ) from error


def _integers(text: Text) -> Tensor:
    assert isinstance(text, bytes)
    return torch.from_numpy(np.frombuffer(text, np.uint8).copy())  # a copy, because torch wants to write


def _numbered(text: Text, symbols: str, what: str, name: str) -> Tensor:
    """Each character's position in the vocabulary: uint8 ``[L]``."""
    assert isinstance(text, str)
    if unknown := sorted(set(text) - set(symbols)):
        shown = ", ".join(f"{c!r} (at {text.index(c):,})" for c in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise UserError(
            f"{what} of data set '{name}' has characters that the training text lacks: {shown}{more}; "
            "replace them in the text, or set unit to bytes"
        )
    codes = np.array([ord(c) for c in symbols], np.uint32)
    pieces = [text[i : i + _BLOCK] for i in range(0, len(text), _BLOCK)]
    numbers = [
        np.searchsorted(codes, np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), "<u4")).astype(np.uint8)
        for piece in pieces
    ]
    return torch.from_numpy(np.concatenate([np.empty(0, np.uint8), *numbers]))
