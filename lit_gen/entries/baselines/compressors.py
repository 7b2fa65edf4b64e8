"""Lossless compressors: the bits that a general or an image format takes for a split."""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import soundfile
from PIL import Image

LARGEST_WEBP = 16383  # pixels on a side

Compressor = Callable[[np.ndarray], int]
"""Function from integers uint8 ``[N, *shape]`` to the number of bytes of their code."""


def compressors(modality: str, shape: tuple[int, ...]) -> dict[str, Compressor]:
    """The compressors that fit data, by name.

    A split is compressed as one file, so that headers, which would outweigh an image of 8x8 pixels, do not count. A
    code's length is a bound on -log2 p of the whole split under the distribution that it implies (Kraft's inequality;
    Cover, Thomas: Elements of Information Theory, 2006, theorem 5.2.1).

    Args:
        modality: Modality of the data.
        shape: Shape of one example.
    """
    found: dict[str, Compressor] = {}
    if modality == "image" and shape[0] in (1, 3):
        found |= {"PNG": png_bytes, "WebP lossless": webp_bytes}
    if modality == "audio":
        found["FLAC"] = flac_bytes
    return found | {"zlib": zlib_bytes, "xz": xz_bytes}


def png_bytes(x: np.ndarray) -> int:
    """Bytes of a PNG file that holds all images one below the other."""
    return _image_bytes(_column(x), format="PNG", optimize=True)


def webp_bytes(x: np.ndarray) -> int:
    """Bytes of WebP files without loss, with as many images in each as fit."""
    per_file = max(1, LARGEST_WEBP // x.shape[2])
    options = {"format": "WebP", "lossless": True, "quality": 100, "method": 4, "exact": True}
    return sum(_image_bytes(_column(x[i : i + per_file]), **options) for i in range(0, len(x), per_file))


def flac_bytes(x: np.ndarray) -> int:
    """Bytes of a FLAC file of 8 bits with all windows one after the other."""
    with io.BytesIO() as file:
        signed = (x.reshape(-1).astype(np.int16) - 128) << 8
        soundfile.write(file, signed, 8000, format="FLAC", subtype="PCM_S8")
        return len(file.getvalue())


def zlib_bytes(x: np.ndarray) -> int:
    """Bytes of zlib's code at its highest level."""
    packer = zlib.compressobj(9)
    return sum(len(packer.compress(block)) for block in _blocks(x)) + len(packer.flush())


def xz_bytes(x: np.ndarray) -> int:
    """Bytes of an xz file at preset 6."""
    packer = lzma.LZMACompressor(preset=6)
    return sum(len(packer.compress(block)) for block in _blocks(x)) + len(packer.flush())


def _blocks(x: np.ndarray) -> Iterator[bytes]:
    for first in range(0, len(x), 1000):
        yield x[first : first + 1000].tobytes()


def _column(x: np.ndarray) -> np.ndarray:
    """Images ``[N, C, H, W]`` one below the other, ``[N * H, W]`` or ``[N * H, W, 3]``."""
    pixels = x.transpose(0, 2, 3, 1).reshape(-1, x.shape[3], x.shape[1])
    return pixels[..., 0] if x.shape[1] == 1 else pixels


def _image_bytes(pixels: np.ndarray, **options: object) -> int:
    with io.BytesIO() as file:
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, **options)  # type: ignore[arg-type]
        return len(file.getvalue())
