"""Grids of images, as tensors and as PNG files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor


def image_grid(x: Tensor, border: int = 2) -> Tensor:
    """Arranges images uint8 ``[N, C, H, W]`` in a grid, square or wider: uint8 ``[H', W', C]``, with grey gaps."""
    n, channels, height, width = x.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    grid = x.new_full((rows * (height + border) + border, columns * (width + border) + border, channels), 128)
    for i, image in enumerate(x.permute(0, 2, 3, 1)):
        top = border + (i // columns) * (height + border)
        left = border + (i % columns) * (width + border)
        grid[top : top + height, left : left + width] = image
    return grid


def write_grid(x: Tensor, path: Path, least_pixels: int = 500) -> Path:
    """Writes a PNG of the grid; small images are enlarged by an integer factor.

    Args:
        x: Images uint8 ``[N, C, H, W]``, C of 1 or 3, values 0..255.
        path: Path of the file; its folder is created.
        least_pixels: Minimum width.
    """
    grid = image_grid(x)
    scale = max(1, least_pixels // grid.shape[1])
    pixels = np.ascontiguousarray(grid.repeat_interleave(scale, 0).repeat_interleave(scale, 1).numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
    return path
