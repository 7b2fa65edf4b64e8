"""Reads samples that another program wrote: a folder of images, a .npy or a .npz file."""

from __future__ import annotations

import abc
import math
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lit_gen.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
_LOSSY = (".jpg", ".jpeg")
_NAMES = ("samples", "arr_0", "images", "x")
_BLOCK = 1000


class SampleFile(abc.ABC):
    """Samples on the disk, read a few at a time.

    Attributes:
        note: What a reader of the scores should know about the file; empty for nothing.
        clamped: Number of values that were outside the stated range, among those read so far.
        values: Number of values that were read so far.
    """

    note: str = ""

    def __init__(self) -> None:
        self.clamped = self.values = 0

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abc.abstractmethod
    def rows(self, indices: Sequence[int]) -> np.ndarray:
        """The samples at some positions, uint8 ``[n, *shape]``.

        Raises:
            UserError: If a sample cannot be read or has a value outside the data's.
        """


class ArrayFile(SampleFile):
    """Samples in a .npy file, which is not read whole, or in a .npz file.

    Args:
        path: The file. Of several arrays in a .npz, that of the name ``samples``, ``arr_0``, ``images`` or ``x``.
        shape: Shape of one example; images may also be ``[n, H, W, C]``, and grey ones ``[n, H, W]``.
        num_levels: Number of values of the data.
        value_range: Values that stand for the lowest and the highest of the data; needed for floats. None means that
            the values are the data's integers.

    Raises:
        UserError: If the file cannot be read, or its samples are not of the data's shape or values.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], num_levels: int, value_range: tuple[float, float] | None
    ) -> None:
        super().__init__()
        self.path, self.num_levels, self.value_range = path, num_levels, value_range
        self._array = _opened(path)
        self._axes = _axes(path, self._array.shape[1:], shape)
        self.shape = shape
        kind = self._array.dtype.kind
        if kind not in "iufb":
            raise UserError(f"{path}: values of type {self._array.dtype}; give integers, or floats with --range")
        if value_range is None and kind == "f":
            raise UserError(f"{path}: floats; state the values of black and white, such as --range -1 1 or --range 0 1")
        for first in range(0, len(self), _BLOCK):  # rejected before anything is scored
            self.rows(range(first, min(first + _BLOCK, len(self))))
        self.counted = (self.clamped, self.values)

    def __len__(self) -> int:
        return len(self._array)

    def rows(self, indices: Sequence[int]) -> np.ndarray:
        """The samples at some positions; see :meth:`SampleFile.rows`."""
        x = np.asarray(self._array[np.asarray(indices, dtype=np.int64)])
        if self._axes is not None:
            x = x.transpose(0, *self._axes)
        x = x.reshape(len(x), *self.shape)
        if self.value_range is None:
            least, most = (int(x.min()), int(x.max())) if x.size else (0, 0)
            if least < 0 or most >= self.num_levels:
                raise UserError(
                    f"{self.path}: value {least if least < 0 else most} is outside 0 to {self.num_levels - 1}, the"
                    " data's values; if the file has another range, state it, such as --range 0 255"
                )
            return x.astype(np.uint8)
        return self._rescaled(x.astype(np.float64))

    def _rescaled(self, x: np.ndarray) -> np.ndarray:
        assert self.value_range is not None
        if not np.isfinite(x).all():
            raise UserError(f"{self.path}: contains NaN or infinity")
        low, high = self.value_range
        levels = np.rint((x - low) / (high - low) * (self.num_levels - 1))
        self.clamped += int(((levels < 0) | (levels > self.num_levels - 1)).sum())
        self.values += levels.size
        return levels.clip(0, self.num_levels - 1).astype(np.uint8)


class ImageFolder(SampleFile):
    """Samples as images in a folder and its subfolders, in the order of their names, numbers by their value.

    Args:
        path: The folder.
        shape: Shape of one example, ``(C, H, W)``.
        num_levels: Number of values of the data, which the images' 256 stand for.

    Raises:
        UserError: If there are no images, or one has another size.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], num_levels: int) -> None:
        super().__init__()
        if len(shape) != 3:
            raise UserError(f"{path}: a folder holds images, and the data are not images; give a .npy or .npz file")
        self.path, self.shape, self.num_levels = path, shape, num_levels
        self.files = _images(path)
        if not self.files:
            raise UserError(f"{path}: no images ({', '.join(SUFFIXES)}) in this folder or below")
        lossy = sum(file.suffix.lower() in _LOSSY for file in self.files)
        if lossy:
            self.note = f"{lossy:,} of {len(self.files):,} samples are JPEG files, whose losses change the scores"
        for file in self.files:
            self._open(file).close()

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, indices: Sequence[int]) -> np.ndarray:
        """The samples at some positions; see :meth:`SampleFile.rows`."""
        return np.stack([self._pixels(self.files[i]) for i in indices])

    def _open(self, file: Path) -> Image.Image:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(file)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
            raise UserError(f"{file}: not an image that Pillow reads ({' '.join(str(error).split())})") from error
        try:
            self._check(file, image)
        except UserError:
            image.close()
            raise
        return image

    def _check(self, file: Path, image: Image.Image) -> None:
        size = (self.shape[2], self.shape[1])
        if image.size != size:
            raise UserError(
                f"{file}: {image.width}x{image.height} pixels, and the data have {size[0]}x{size[1]}; samples are not"
                " resized, since that changes the scores"
            )
        if image.mode in ("I", "F", "I;16", "I;16B", "I;16L"):
            raise UserError(f"{file}: pixels of more than 8 bits; save 8-bit images, or a .npy file with --range")
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            raise UserError(f"{file}: has transparency; save images without an alpha channel")

    def _pixels(self, file: Path) -> np.ndarray:
        with self._open(file) as image:
            try:
                x = np.asarray(image.convert("RGB"))
            except (OSError, SyntaxError, ValueError) as error:
                raise UserError(f"{file}: not an image that Pillow reads ({' '.join(str(error).split())})") from error
        if self.shape[0] == 1:
            if (x != x[..., :1]).any():
                raise UserError(f"{file}: in colour, and the data are grey")
            x = x[..., :1]
        x = x.transpose(2, 0, 1)
        return x if self.num_levels == 256 else np.rint(x / 255 * (self.num_levels - 1)).astype(np.uint8)


def sample_file(
    path: Path, shape: tuple[int, ...], num_levels: int, value_range: tuple[float, float] | None
) -> SampleFile:
    """Opens samples of another program.

    Args:
        path: A folder of images, or a .npy or .npz file.
        shape: Shape of one example of the data.
        num_levels: Number of values of the data.
        value_range: Values that stand for the lowest and the highest of the data's; None for the data's integers.

    Raises:
        UserError: If they cannot be read, or do not fit the data.
    """
    if value_range is not None and not (all(map(math.isfinite, value_range)) and value_range[0] < value_range[1]):
        raise UserError(f"--range {value_range[0]:g} {value_range[1]:g}: give a lower and a higher finite number")
    if path.is_dir():
        if value_range is not None:
            raise UserError(f"--range: images in a folder have values from 0 to 255; leave it out for {path}")
        return ImageFolder(path, shape, num_levels)
    return ArrayFile(path, shape, num_levels, value_range)


def _opened(path: Path) -> Any:
    if path.suffix.lower() not in (".npy", ".npz"):
        known = "" if path.exists() else " does not exist"
        raise UserError(f"--samples={path}{known}: give a folder of images, or a .npy or .npz file")
    try:
        found = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        if isinstance(found, np.ndarray):
            array = found
        else:
            with found:
                name = next((name for name in _NAMES if name in found.files), None)
                if name is None and len(found.files) != 1:
                    raise ValueError(f"arrays {', '.join(found.files) or 'none'}; name the samples 'samples'")
                array = found[name or found.files[0]]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        raise UserError(f"{path}: {reason}") from error
    if array.ndim < 2 or not len(array):
        raise UserError(f"{path}: an array of shape {array.shape}; give [n, ...] with an example in each row")
    return array


def _axes(path: Path, found: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Order of axes that brings an example to the data's shape; None if it needs no change but dimensions of 1."""
    if found == shape or (shape[0] == 1 and found == shape[1:]):
        return None
    if len(shape) == 3 and found == (*shape[1:], shape[0]):
        return (3, 1, 2)
    raise UserError(f"{path}: examples of shape {found}, and the data's have {shape}; samples are not resized, since"
                    " that changes the scores")


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key by which ``sample10`` follows ``sample9``."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def count_samples(path: Path) -> int:
    """Number of samples in a folder of images or a file of an array, without checking them.

    Raises:
        UserError: If there are none, or the file cannot be read.
    """
    if path.is_dir():
        return max(20, len(_images(path)))
    return max(20, len(_opened(path)))


def image_shape(path: Path) -> tuple[int, int, int]:
    """Channels, height and width of the first of some samples that are images.

    Raises:
        UserError: If there are none, or an array's examples have not the shape of images.
    """
    if path.is_dir():
        files = _images(path)
        if not files:
            raise UserError(f"{path}: no images ({', '.join(SUFFIXES)}) in this folder or below")
        try:
            with Image.open(files[0]) as image:
                return (1 if image.mode in ("1", "L", "I", "F", "I;16") else 3), image.height, image.width
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"{files[0]}: not an image that Pillow reads") from error
    shape = _opened(path).shape[1:]
    if len(shape) == 2:
        return (1, *shape)
    if len(shape) == 3 and (shape[0] in (1, 3) or shape[2] in (1, 3)):
        return shape if shape[0] in (1, 3) else (shape[2], *shape[:2])
    raise UserError(f"{path}: examples of shape {shape} are no images; name the data by --config")


def _images(path: Path) -> list[Path]:
    files = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(files, key=lambda file: _natural(file.relative_to(path).as_posix()))
