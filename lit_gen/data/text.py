"""Text as integers: characters of a vocabulary, or bytes; and a user's own text file."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from lit_gen.data.module import SPLITS, Modality, SplitName
from lit_gen.data.sequences import Pieces, SequenceDataModule
from lit_gen.errors import UserError, nearest

Unit = Literal["characters", "bytes"]
Text = str | bytes
"""A split's whole text: str where the unit is characters, bytes where it is bytes."""

_AT_A_TIME = 2**20  # characters that are four bytes wide at once
_SHOWN = 5  # characters that a message names


class TextDataModule(SequenceDataModule, abc.ABC):
    """Windows of T characters or bytes, uint8 [T]; bits/dim are bits per character, or per byte.

    - ``unit="characters"``: Unicode code points, numbered in their order. The vocabulary is that of the training
      text alone. A character in validation or test that it lacks is refused and not mapped to an "unknown" one:
      a symbol that stands for many costs fewer bits than the character does, so its score would be none of the
      text's.
    - ``"bytes"``: UTF-8, 256 levels; any text in any script.

    A subclass sets what `texts` needs before it calls this constructor.

    Args:
        name: what records call the data.
        unit: see above.
        length: T.
        num_levels: size of the vocabulary, checked in ``setup``. None counts it: for characters the text is then
            read at construction. Always 256 for bytes.
        batch_size, eval_batch_size, seed: see `DiscreteDataModule`.

    Raises:
        UserError: more than 256 different characters, or another number than ``num_levels``; a character that
            the training text lacks.
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
        eval_batch_size: int,
        seed: int,
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
            eval_batch_size=eval_batch_size,
            seed=seed,
            noun=unit,
        )
        self._symbols = ""

    @abc.abstractmethod
    def texts(self) -> Mapping[SplitName, Text]:
        """Reads the text of all three splits."""

    @property
    def symbols(self) -> str:
        """The vocabulary: the character of level i stands at place i; empty for bytes."""
        self.setup()
        return self._symbols

    def encode(self, text: str) -> Tensor:
        """Levels of a text: uint8 [L].

        Raises:
            UserError: a character outside the vocabulary.
        """
        if self.unit == "bytes":
            return _integers(text.encode("utf-8", "surrogatepass"))
        return _numbered(text, self.symbols, "the text", self.name)

    def decode(self, x: Tensor) -> str:
        """The text of levels [L]; bytes that are no UTF-8 become the replacement character."""
        if self.unit == "bytes":
            return bytes(x.flatten().tolist()).decode("utf-8", "replace")
        symbols = self.symbols
        return "".join(symbols[level] for level in x.flatten().tolist())

    def read_pieces(self) -> dict[SplitName, Pieces]:
        """Reads the text and numbers it."""
        texts, self._held = self._texts(), None
        if self.unit == "bytes":
            return {name: Pieces([_integers(texts[name])]) for name in SPLITS}
        self._symbols = self._vocabulary(texts["train"], self.num_levels)
        wholes = {name: _numbered(texts[name], self._symbols, f"the {name} text", self.name) for name in SPLITS}
        return {name: Pieces([whole]) for name, whole in wholes.items()}

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
            raise UserError(f"{where}, and at most 256 levels fit; set unit to bytes")
        if expected is not None and len(found) != expected:
            raise UserError(f"{where}, and num_levels is {expected}; set num_levels to {len(found)}")
        return found


class TextFile(TextDataModule):
    """One file of UTF-8 text (or, as bytes, any file at all): no code needed.

    Its end is held out, whole: first comes train, then validation, then test, in the order of the file. Line
    endings stay as they are.

    Args:
        path: the file.
        name: what records and leaderboards call the data.
        length: T, characters or bytes of a window.
        unit: "bytes" or "characters"; see `TextDataModule`.
        num_levels: size of the vocabulary; None counts it, at construction where the unit is characters.
        num_val: characters or bytes held out for validation; below 1 a fraction.
        num_test: the same for test.
        batch_size: training batch over all processes together.
        eval_batch_size: the same for validation and test.
        seed: seed of the training order and of the windows' places.

    Raises:
        UserError: no such file, no UTF-8, too short; or see `TextDataModule`.
    """

    def __init__(
        self,
        path: str,
        name: str,
        length: int,
        unit: Unit = "bytes",
        num_levels: int | None = None,
        num_val: int | float = 0.05,
        num_test: int | float = 0.05,
        batch_size: int = 64,
        eval_batch_size: int = 250,
        seed: int = 0,
    ) -> None:
        self.path = path
        self.held_out: dict[SplitName, int | float] = {"val": num_val, "test": num_test}
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
        """Reads the file and divides it."""
        file = Path(self.path).expanduser()
        if file.is_dir():
            raise UserError(f"'{file}' is a folder: path must be a file of text (a hub's folder is for HubText)")
        if not file.is_file():
            there = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
            raise UserError(f"no file '{file}'{nearest(file.name, there)}; correct path in the config")
        content = file.read_bytes()
        if self.unit == "bytes":
            return hold_out_end(content, self.held_out, f"'{file}'")
        try:
            return hold_out_end(content.decode(), self.held_out, f"'{file}'")
        except UnicodeDecodeError as error:
            raise UserError(
                f"'{file}' is not UTF-8 (byte {error.start}); convert it, or set unit to bytes"
            ) from error


def hold_out_end(text: Text, sizes: Mapping[SplitName, int | float], where: str) -> dict[SplitName, Text]:
    """Divides a text from its end; what is left at the beginning is train.

    Args:
        text: to divide.
        sizes: for each held-out split, in the order of the text, how much; a float below 1 is a fraction.
        where: what messages call the text.

    Raises:
        UserError: a split, or train, would be empty.

    >>> hold_out_end("abcdefghij", {"val": 0.2, "test": 3}, "it")
    {'train': 'abcde', 'val': 'fg', 'test': 'hij'}
    """
    total, parts = len(text), {}
    for name, size in sizes.items():
        parts[name] = round(size * total) if isinstance(size, float) and size < 1 else int(size)
        if parts[name] < 1:
            raise UserError(f"split '{name}' of {where} would be empty: num_{name} is {size}; raise it")
    begin = total - sum(parts.values())
    if begin < 1:
        raise UserError(f"{where} has length {total:,} and {total - begin:,} are held out; lower num_val or num_test")
    divided: dict[SplitName, Text] = {"train": text[:begin]}
    for name, part in parts.items():
        divided[name] = text[begin : begin + part]
        begin += part
    return divided


def _integers(text: Text) -> Tensor:
    assert isinstance(text, bytes)
    return torch.from_numpy(np.frombuffer(text, np.uint8).copy())  # a copy, because torch wants to write


def _numbered(text: Text, symbols: str, what: str, name: str) -> Tensor:
    """Each character's place in the vocabulary: uint8 [L]."""
    assert isinstance(text, str)
    if strange := sorted(set(text) - set(symbols)):
        shown = ", ".join(f"{c!r} (at {text.index(c):,})" for c in strange[:_SHOWN])
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        raise UserError(
            f"{what} of data set '{name}' has characters that the training text lacks: {shown}{more}; "
            "replace them in the text, or set unit to bytes"
        )
    codes = np.array([ord(c) for c in symbols], np.uint32)
    pieces = [text[i : i + _AT_A_TIME] for i in range(0, len(text), _AT_A_TIME)]
    numbers = [
        np.searchsorted(codes, np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), "<u4")).astype(np.uint8)
        for piece in pieces
    ]
    return torch.from_numpy(np.concatenate([np.empty(0, np.uint8), *numbers]))
