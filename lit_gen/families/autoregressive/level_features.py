"""What of an image's levels goes into a network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.quantization import to_unit


class LevelFeatures(nn.Module):
    """Each level as a number in [0, 1] and, where asked, as learned numbers of its own beside it.

    To a convolution of the number alone, level 252 is all but 253. Yet levels can have much to say one by one: of the
    greys (10 to 249) of MNIST's digits, 31 in 100 stood in the same digit before, and 14 in that much of another.

    Args:
        num_levels: L.
        num_features: E, learned for each level; 0 for none. They start as independent standard normals.
    """

    def __init__(self, num_levels: int, num_features: int) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.learned = nn.Parameter(torch.randn(num_levels, num_features)) if num_features else None

    def of(self, level: Tensor) -> Tensor:
        """Levels of any shape to ``[..., 1 + E]``."""
        number = to_unit(level, self.num_levels)[..., None]
        return number if self.learned is None else torch.cat([number, F.embedding(level.long(), self.learned)], -1)

    def forward(self, x: Tensor) -> Tensor:
        """Levels ``[B, C, H, W]`` to ``[B, C (1 + E), H, W]``: the features of a channel together."""
        return self.of(x.permute(0, 2, 3, 1)).flatten(3).permute(0, 3, 1, 2)
