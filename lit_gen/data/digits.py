"""Scikit-learn's 8x8 handwritten digits: real data that needs no download."""

from __future__ import annotations

import numpy as np
import torch
from typing_extensions import override

from lit_gen.data.binarize import BinarizableDataModule, Binarize
from lit_gen.data.loader import Loader
from lit_gen.data.module import Split, SplitName


class Digits(BinarizableDataModule):
    """1,797 handwritten digits, [1, 8, 8], 17 values, split 1,000 / 350 / 447 in file order.

    The order and the split are those of the published peer (Tomczak, Deep Generative Modeling, 2022, code
    intro_dgm), so that likelihoods compare.

    Args:
        batch_size: Training batch size over all processes together.
        binarize: None, "threshold" or "dynamic"; see `BinarizableDataModule`.
        loader: Evaluation batch size, and seed of the training order and of dynamic binarization.
    """

    def __init__(
        self, batch_size: int = 64, binarize: Binarize | None = None, loader: Loader = Loader()
    ) -> None:
        super().__init__(
            name="digits", shape=(1, 8, 8), num_levels=17, batch_size=batch_size, binarize=binarize, loader=loader
        )

    @override
    def read_grey(self) -> dict[SplitName, Split]:
        """Reads the file that scikit-learn ships."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x = torch.from_numpy(bunch.images.astype(np.uint8)).unsqueeze(1)
        label = torch.from_numpy(bunch.target.astype(np.int64))
        rows: dict[SplitName, slice] = {
            "train": slice(0, 1000),
            "val": slice(1000, 1350),
            "test": slice(1350, 1797),
        }
        return {name: Split(x[part], label[part]) for name, part in rows.items()}
