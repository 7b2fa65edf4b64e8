"""A data module: arrays in a file of NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lit_gen.data import DiscreteDataModule, Split
from lit_gen.data.module import SPLITS, SplitName
from lit_gen.errors import UserError


class ArrayFile(DiscreteDataModule):
    """Images uint8 [N, C, H, W] named ``train``, ``val`` and ``test`` in one .npz file.

    Args:
        path: The file.
        name: Name of the data in records and leaderboards.
        shape: Shape of one image, known before the file is read.
        num_levels: Number of values.
        batch_size: Training batch size over all processes together.

    Raises:
        UserError: If the file is missing or lacks a split.
    """

    def __init__(
        self, path: str, name: str, shape: tuple[int, int, int], num_levels: int = 256, batch_size: int = 64
    ) -> None:
        super().__init__(name=name, shape=shape, num_levels=num_levels, batch_size=batch_size)
        self.path = Path(path)

    def read(self) -> dict[SplitName, Split]:
        """Reads the three arrays."""
        if not self.path.is_file():
            raise UserError(f"data.path: there is no file {self.path}")
        with np.load(self.path) as arrays:
            missing = [split for split in SPLITS if split not in arrays]
            if missing:
                raise UserError(f"data.path: {self.path} has no array '{missing[0]}'; it needs train, val and test")
            return {split: Split(torch.from_numpy(arrays[split])) for split in SPLITS}
