"""Writes samples by modality: a grid of images, a text file, or recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from lit_gen.media.grids import write_grid
from lit_gen.media.recordings import write_wavs
from lit_gen.media.texts import write_texts
from lit_gen.quantization import to_uint8


def modality_of(data: Any) -> str:
    """Modality of a data module; ``image`` if it has none."""
    return str(getattr(data, "modality", "image"))


def can_show(shape: tuple[int, ...], data: Any) -> bool:
    """Whether samples of a shape can be written: all text and audio, and images ``[1 or 3, H, W]``."""
    return modality_of(data) != "image" or (len(shape) == 3 and shape[0] in (1, 3))


def write_samples(x: Tensor, num_levels: int, data: Any, stem: Path) -> list[Path]:
    """Writes samples by modality; the folder is created.

    Args:
        x: Integers ``[N, *shape]``, of a shape that :func:`can_show` accepts.
        num_levels: Number of values of the data.
        data: The data module, which decodes text and audio.
        stem: Path of the files without their suffixes.

    Returns:
        The files: one ``.png``, one ``.txt``, or a ``-<i>.wav`` for each sample.
    """
    if modality_of(data) == "text":
        pieces = ((f"sample {i}", row) for i, row in enumerate(x))
        return [write_texts(pieces, data, stem.with_name(f"{stem.name}.txt"))]
    if modality_of(data) == "audio":
        return write_wavs(x, data, stem)
    return [write_grid(to_uint8(x, num_levels), stem.with_name(f"{stem.name}.png"))]
