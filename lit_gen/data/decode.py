"""From an image file to uint8 ``[C, H, W]``: every step is stated in the configuration, none is guessed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from lit_gen.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

Resize = Literal["none", "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Crop = int | Literal["square"] | None

# 8 bits a channel: what `convert` maps to grey or colour without changing the scale of the values
_EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


class UnreadableImageError(Exception):
    """The bytes are not an image that can be decoded."""


@dataclass(frozen=True)
class Transform:
    """Centre crop, resize, then grey or colour.

    Args:
        size: Side of the square images that the model sees, in pixels.
        channels: Number of channels: 1 (grey, by the luma weights of ITU-R BT.601 if the file is coloured) or 3.
        crop: Side of the centre crop in pixels of the file; "square" for the largest one; None for no crop.
        resize: Resampling kernel, applied with antialiasing by Pillow; "none" makes other sizes an error.

    Raises:
        UserError: ``channels`` is neither 1 nor 3.
    """

    size: int
    channels: int
    crop: Crop = None
    resize: Resize = "none"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise UserError(f"transform.channels is {self.channels}: an image has 1 (grey) or 3 (colour)")

    def __call__(self, source: bytes | Path | np.ndarray, where: str) -> np.ndarray:
        """Decodes one image.

        Args:
            source: Content of the file, its path, or its pixels as uint8 ``[H, W]`` or ``[H, W, C]``.
            where: What messages call it.

        Returns:
            Pixels, uint8 ``[channels, size, size]``.

        Raises:
            UnreadableImageError: The file cannot be decoded.
            UserError: The image does not fit these options.
        """
        image = self._open(source, where)
        if image.mode not in _EIGHT_BIT:
            raise UserError(
                f"{where} has mode {image.mode}, not 8 bits a channel; convert it to 8 bits first"
            )
        pixels = np.asarray(self._fit(image, where).convert("L" if self.channels == 1 else "RGB"))
        return pixels.reshape(self.size, self.size, self.channels).transpose(2, 0, 1)

    def _open(self, source: bytes | Path | np.ndarray, where: str) -> Image:
        from PIL.Image import fromarray
        from PIL.Image import open as open_image

        if isinstance(source, np.ndarray):
            if source.shape[2:] not in ((), (1,), (3,)):
                raise UserError(f"{where} has shape {source.shape}: need [H, W], [H, W, 1] or [H, W, 3]")
            return fromarray(source.squeeze(-1) if source.shape[2:] == (1,) else source)
        try:
            with open_image(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                image.load()
        # Pillow's plugins raise nearly anything on a damaged file: struct.error, IndexError, SyntaxError, ...
        except Exception as error:
            raise UnreadableImageError(f"{where}: {error}") from error
        return image

    def _fit(self, image: Image, where: str) -> Image:
        from PIL.Image import Resampling

        width, height = image.size
        if self.crop is not None:
            side = min(width, height) if self.crop == "square" else self.crop
            if side > min(width, height):
                raise UserError(f"{where} is {width}x{height}, smaller than transform.crop {side}; lower it")
            left, top = (width - side) // 2, (height - side) // 2
            image = image.crop((left, top, left + side, top + side))
        if image.size == (self.size, self.size):
            return image
        if self.resize == "none":
            raise UserError(
                f"{where} is {image.width}x{image.height}, and transform.size is {self.size} without a resize; "
                "change the size, or set transform.resize to a kernel such as box, and transform.crop to square if "
                "the image is not square"
            )
        if image.width != image.height:
            raise UserError(
                f"{where} is {image.width}x{image.height}: resizing it to a square would distort it; "
                "set transform.crop to square"
            )
        if image.mode in ("1", "P", "PA"):  # a palette's indices cannot be averaged
            image = image.convert("L" if self.channels == 1 else "RGB")
        return image.resize((self.size, self.size), Resampling[self.resize.upper()])
