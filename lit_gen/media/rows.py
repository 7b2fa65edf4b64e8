"""Rows of images with gaps between groups."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

# In pixels of the picture, not of the images, whose sizes differ.
_GAP, _APART, _MARGIN, _FRAME = 4, 12, 12, 3
_LEAST_SIDE = 64  # of an image, which is enlarged by an integer factor to come close
_PAPER, _ACCENT = (255, 255, 255), (230, 120, 0)


def row_picture(x: Tensor, framed: Collection[int]) -> Tensor:
    """Arranges rows of images on a white background: uint8 ``[H', W', 3]``.

    Many rows are arranged in several stacks, read downwards and then from left to right, so that the picture is
    about square.

    Args:
        x: Images uint8 ``[R, N, C, H, W]``, C of 1 or 3, values 0..255.
        framed: Columns that are framed, and separated from the others.
    """
    scale = max(1, _LEAST_SIDE // max(x.shape[-2:]))
    x = x.repeat_interleave(scale, -2).repeat_interleave(scale, -1).expand(-1, -1, 3, -1, -1).permute(0, 1, 3, 4, 2)
    num_rows, num_columns, height, width, _ = x.shape
    lefts = _lefts(num_columns, width, framed)
    stack_width, row_height = lefts[-1] + width + 2 * _APART, height + _APART
    num_stacks = max(1, round(math.sqrt(num_rows * row_height / stack_width)))
    per_stack = math.ceil(num_rows / num_stacks)
    num_stacks = math.ceil(num_rows / per_stack)
    canvas = torch.tensor(_PAPER, dtype=torch.uint8).repeat(
        2 * _MARGIN + per_stack * row_height - _APART, 2 * _MARGIN + num_stacks * stack_width - 2 * _APART, 1
    )
    for row in range(num_rows):
        stack, place = divmod(row, per_stack)
        top = _MARGIN + place * row_height
        for column, left in enumerate(lefts):
            left += _MARGIN + stack * stack_width
            if column in framed:
                edge = canvas[top - _FRAME : top + height + _FRAME, left - _FRAME : left + width + _FRAME]
                edge[:] = torch.tensor(_ACCENT, dtype=torch.uint8)
            canvas[top : top + height, left : left + width] = x[row, column]
    return canvas


def _lefts(num_columns: int, width: int, framed: Collection[int]) -> list[int]:
    """Left end of each column of a row."""
    lefts = [0]
    for column in range(1, num_columns):
        alike = (column in framed) == (column - 1 in framed)
        lefts.append(lefts[-1] + width + (_GAP if alike else _APART))
    return lefts


def write_png(pixels: Tensor, file: Path) -> None:
    """Writes pixels, uint8 ``[H, W, 3]``; the file's folder is created."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.contiguous().numpy()).save(file)
