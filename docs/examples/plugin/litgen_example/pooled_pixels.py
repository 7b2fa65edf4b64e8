"""A feature space: the image itself, at 4x4."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.metrics import Features, FeatureSpace


class PooledPixels(FeatureSpace):
    """Means over 4x4 parts of the image, grey, in [0, 1]; nothing is learnt."""

    name = "pooled_pixels"
    sha256 = hashlib.sha256(b"means over 4x4 parts, grey, in [0, 1]").hexdigest()  # of a network: of its weights
    internal_batch: ClassVar[int] = 100
    num_features = 16

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(1 / 255), persistent=False)

    def extract(self, x: Tensor) -> Features:
        """Features [B, 16] of images uint8 [B, C, H, W]; there is no classifier."""
        pooled = F.adaptive_avg_pool2d(x.float().mean(1, keepdim=True) * self.scale, 4).flatten(1)
        return Features(pooled, pooled.new_zeros(len(x), 0))
