"""Random images as data modules: speed does not depend on what is in them, and nothing need be downloaded."""

from __future__ import annotations

import torch

from lit_gen.data import DiscreteDataModule, Split
from lit_gen.data.module import SplitName


class RandomImages(DiscreteDataModule):
    """Independent uniform levels.

    Args:
        num_train: Training images.
        shape: Of one image.
        num_levels: Levels.
        batch_size: See `DiscreteDataModule`.
    """

    def __init__(
        self, num_train: int, shape: tuple[int, ...] = (1, 28, 28), num_levels: int = 2, batch_size: int = 128
    ) -> None:
        super().__init__(
            name="random", shape=shape, num_levels=num_levels, batch_size=batch_size
        )
        self.num_train = num_train

    def read(self) -> dict[SplitName, Split]:
        """The splits."""
        sizes: dict[SplitName, int] = {"train": self.num_train, "val": 250, "test": 250}
        return {name: Split(random_images(n, self.shape, self.num_levels)) for name, n in sizes.items()}


def random_images(n: int, shape: tuple[int, ...], num_levels: int) -> torch.Tensor:
    """uint8 ``[n, *shape]``, always the same."""
    return torch.randint(0, num_levels, (n, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
