"""Resizing of images before a feature network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def bicubic(x: Tensor, size: int) -> Tensor:
    """Resizes images to a square by antialiased bicubic interpolation, as Pillow does with 8-bit images.

    The kernel (a = -0.5) widens where an image is made smaller. Rows are resized first, then columns, with values
    rounded and clamped after each; Pillow's fixed-point weights differ from these by rounding alone, so that 99%
    of the values are equal, and the others one or two apart.

    Args:
        x: uint8 [B, C, H, W].
        size: Height and width of the result.

    Returns:
        float32 [B, C, size, size], integers in 0..255.
    """
    resized = x.float()
    for shape in ((x.shape[-2], size), (size, size)):
        if resized.shape[-2:] != shape:
            wider = F.interpolate(resized, size=shape, mode="bicubic", align_corners=False, antialias=True)
            resized = wider.round().clamp(0, 255)
    return resized
