"""Input features of an image's integers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.quantization import to_unit


class LevelFeatures(nn.Module):
    """Represents each integer as a number in [0, 1] and, optionally, an additional learned embedding.

    A convolution of the number alone can hardly distinguish 252 from 253, although single values can be informative: of
    the 4.78 million greys (10 to 249) in MNIST's 55,000 training digits, 31.3 % occur earlier, in reading order, in the
    same digit, and 14.5 % in the same positions of another, randomly chosen digit.

    Args:
        num_levels: Number of values L.
        num_features: Embedding size E; 0 for no embedding. Entries are initialized as standard normals.
    """

    def __init__(self, num_levels: int, num_features: int) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.learned = nn.Parameter(torch.randn(num_levels, num_features)) if num_features else None

    def of(self, level: Tensor) -> Tensor:
        """Maps integers of any shape to features ``[..., 1 + E]``."""
        number = to_unit(level, self.num_levels)[..., None]
        return number if self.learned is None else torch.cat([number, F.embedding(level.long(), self.learned)], -1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps integers ``[B, C, H, W]`` to ``[B, C (1 + E), H, W]``: the features of a channel are contiguous."""
        return self.of(x.permute(0, 2, 3, 1)).flatten(3).permute(0, 3, 1, 2)
