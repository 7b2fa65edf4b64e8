"""Samples written as what they are: a grid of images, a page of text, or recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from lit_gen.media.grids import write_grid
from lit_gen.media.recordings import write_wavs
from lit_gen.media.texts import write_texts
from lit_gen.quantization import to_uint8


def modality_of(data: Any) -> str:
    """What a data module says its integers are; images where it says nothing, or there is none."""
    return str(getattr(data, "modality", "image"))


def can_show(shape: tuple[int, ...], data: Any) -> bool:
    """Whether samples of a shape can be written: all of text and audio, and images ``[1 or 3, H, W]``."""
    return modality_of(data) != "image" or (len(shape) == 3 and shape[0] in (1, 3))


def write_samples(x: Tensor, num_levels: int, data: Any, stem: Path) -> list[Path]:
    """Writes samples as what they are; the folder is made.

    Args:
        x: Levels ``[N, *shape]``, of a shape that :func:`can_show` admits.
        num_levels: How many levels there are.
        data: The data module, which decodes text and audio.
        stem: The files' path without their ends.

    Returns:
        The files: one ``.png``, one ``.txt``, or a ``-<i>.wav`` for each sample.
    """
    if modality_of(data) == "text":
        pieces = ((f"sample {i}", row) for i, row in enumerate(x))
        return [write_texts(pieces, data, stem.with_name(f"{stem.name}.txt"))]
    if modality_of(data) == "audio":
        return write_wavs(x, data, stem)
    return [write_grid(to_uint8(x, num_levels), stem.with_name(f"{stem.name}.png"))]
