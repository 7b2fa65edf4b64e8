"""Data of any shape, for tests that need no content."""

from __future__ import annotations

import torch

from lit_gen.data.module import DiscreteDataModule, Modality, Split, SplitName


class Shaped(DiscreteDataModule):
    """Random integers of a shape.

    Args:
        shape: Shape of one example.
        num_levels: Number of values.
    """

    def __init__(self, shape: tuple[int, ...], num_levels: int = 256) -> None:
        super().__init__(name="shaped", shape=shape, num_levels=num_levels, batch_size=20)
        modalities: dict[int, Modality] = {1: "text", 2: "audio", 3: "image"}
        self.modality = modalities[len(shape)]

    def read(self) -> dict[SplitName, Split]:
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(self.num_levels, (60, *self.shape), generator=generator, dtype=torch.uint8)
        return {"train": Split(x[:20]), "val": Split(x[20:40]), "test": Split(x[40:])}
