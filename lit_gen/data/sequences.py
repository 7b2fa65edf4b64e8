"""What text and audio share: splits of long pieces, cut into windows of one length."""

from __future__ import annotations

import abc
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from typing_extensions import override

from lit_gen.data.loader import Loader, Redraw
from lit_gen.data.module import SPLITS, DiscreteDataModule, Split, SplitName
from lit_gen.data.windows import Windows, window_groups
from lit_gen.errors import UserError
from lit_gen.noise import Noise


@dataclass(frozen=True)
class Pieces:
    """One split before it is cut.

    Attributes:
        x: Pieces, uint8 ``[L]`` each: one text, or recordings.
        label: Class of each piece, int64, or None.
        cut: Number of integers that were cut off the pieces.
        filled: Number of integers that were added as padding.
    """

    x: Sequence[Tensor]
    label: Tensor | None = None
    cut: int = 0
    filled: int = 0


class SequenceDataModule(DiscreteDataModule, abc.ABC):
    """Windows of T integers.

    Validation and test are consecutive windows, each integer scored exactly once; each window is scored without
    context from the previous one, so bits/dim decrease as T grows and compare only at the same T. The short rest of a
    piece is left out, counted and reported. Training windows are shifted at random anew in every epoch (see
    `Windows.shifted`); one epoch has as many as there are consecutive ones. ``split("train")`` holds the consecutive
    ones; its fingerprint covers the whole pieces.

    Args:
        name: Name of the data in records and leaderboards.
        shape: Shape of one example, whose last side is T.
        num_levels: Number of values, at most 256.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order and of the windows' positions.
        noun: Name of the integers in messages, in the plural; ``dimension`` is its singular.

    Attributes:
        piece_noun: Name of a piece of the data, in the singular.
        left_out: Number of integers of each split that the model never sees; known after ``setup``.
    """

    def __init__(
        self,
        *,
        name: str,
        shape: tuple[int, ...],
        num_levels: int,
        batch_size: int,
        loader: Loader,
        noun: str,
    ) -> None:
        super().__init__(name=name, shape=shape, num_levels=num_levels, batch_size=batch_size, loader=loader)
        self.noun, self.dimension = noun, noun.removesuffix("s")
        self.left_out: dict[SplitName, int] = {}
        self._train: Windows | None = None

    piece_noun: ClassVar[str] = "text"

    @property
    def length(self) -> int:
        """T."""
        return self.shape[-1]

    @abc.abstractmethod
    def read_pieces(self) -> dict[SplitName, Pieces]:
        """Reads all three splits."""

    @abc.abstractmethod
    def meaning(self) -> str:
        """Meaning of the integers, a part of the fingerprint; known after ``read_pieces``."""

    @override
    def read(self) -> dict[SplitName, Split]:
        """Reads the pieces and cuts them.

        Raises:
            UserError: A split has no whole window.
        """
        pieces = self.read_pieces()
        splits: dict[SplitName, Split] = {}
        for name in SPLITS:
            windows = Windows(pieces[name].x, self.length) if len(pieces[name].x) else None
            if windows is None or not len(windows):
                longest = 0 if windows is None else int(windows.sizes.max())
                raise UserError(
                    f"split '{name}' of data set '{self.name}' has no window of length {self.length}: its longest "
                    f"piece has {longest:,} {self.noun}; set length to at most that, or give it more data"
                )
            label = pieces[name].label
            label = None if label is None else label[windows.piece]
            group, group_name = window_groups(windows, self.piece_noun)
            splits[name] = Split(windows.consecutive().view(-1, *self.shape), label, group, group_name)
            self.left_out[name] = pieces[name].cut + (windows.unreachable if name == "train" else windows.rest)
            if left_out := self.left_out[name]:
                total = len(windows.flat) + pieces[name].cut - pieces[name].filled
                rank_zero_info(
                    f"{self.name}: {left_out:,} of {total:,} {name} {self.noun} are left out: "
                    f"they lie in no window of {self.length}"
                )
            if name == "train":
                self._train = windows
        return splits

    @override
    def fingerprint(self, name: SplitName) -> str:
        """SHA-256 of the split and of the meaning of its integers; of train, of all that windows can reach."""
        if name not in self._fingerprints:
            x, rule = self.split(name).x, {"meaning": self.meaning()}
            if name == "train":
                assert self._train is not None
                x = self._train.flat.unsqueeze(1)
                sizes = ",".join(str(size) for size in self._train.sizes)
                rule |= {"windows": f"of {self.length}, shifted at random, in pieces of {sizes}"}
            self._fingerprints[name] = self._digest(x, json.dumps(rule, sort_keys=True))
        return self._fingerprints[name]

    @override
    def _training(self, device: torch.device) -> tuple[Tensor, Redraw | None]:
        self.setup()
        assert self._train is not None
        if self.trainer is not None and self.trainer.overfit_batches:  # type: ignore[attr-defined]  # set by setattr
            return super()._training(device)
        windows = self._train.to(device)
        return torch.arange(len(windows), device=device), lambda rows, noise: self._shifted(windows, rows, noise)

    def _shifted(self, windows: Windows, rows: Tensor, noise: Noise) -> Tensor:
        return windows.shifted(rows, noise).view(-1, *self.shape)
