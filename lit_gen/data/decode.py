"""From an image file to uint8 ``[C, H, W]``: every step is stated in the configuration, none is guessed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from lit_gen.data.picture import BACKGROUNDS, ENLARGED, Background, open_picture
from lit_gen.errors import UserError, nearest

if TYPE_CHECKING:
    from PIL.Image import Image

Resize = Literal["none", "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Crop = int | Literal["square"] | None


@dataclass(frozen=True)
class Transform:
    """Centre crop, resize, then grey or colour.

    Files are decoded as an image viewer shows them: turned by their EXIF orientation, the first of several frames,
    and transparent pixels on a background, so that colours that nobody sees do not become part of the data.

    Args:
        size: Side of the square images that the model sees, in pixels.
        channels: Number of channels: 1 (grey, by the luma weights of ITU-R BT.601 if the file is coloured) or 3.
        crop: Side of the centre crop in pixels of the file; "square" for the largest one; None for no crop.
        resize: Resampling kernel, applied with antialiasing by Pillow; "none" makes other sizes an error.
        background: Colour behind transparent pixels, "white" or "black".

    Raises:
        UserError: ``channels`` is neither 1 nor 3, or the background is another colour.
    """

    size: int
    channels: int
    crop: Crop = None
    resize: Resize = "none"
    background: Background = "white"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise UserError(f"transform.channels is {self.channels}: an image has 1 (grey) or 3 (colour)")
        if self.background not in BACKGROUNDS:
            known = f"it is white or black{nearest(self.background, BACKGROUNDS)}"
            raise UserError(f"transform.background is '{self.background}': {known}")

    def __call__(
        self, source: bytes | Path | np.ndarray, where: str, changes: Counter[str] | None = None
    ) -> np.ndarray:
        """Decodes one image.

        Args:
            source: Content of the file, its path, or its pixels as uint8 ``[H, W]`` or ``[H, W, C]``.
            where: What messages call it.
            changes: Counts what was done to the image, by the names in `picture.CHANGES`.

        Returns:
            Pixels, uint8 ``[channels, size, size]``.

        Raises:
            UnreadableImageError: The file cannot be decoded.
            UserError: The image does not fit these options.
        """
        changes = Counter() if changes is None else changes
        if isinstance(source, np.ndarray):
            image = _from_array(source, where)
        else:
            image = open_picture(source, where, self.background, changes)
        pixels = np.asarray(self._fit(image, where, changes).convert("L" if self.channels == 1 else "RGB"))
        return pixels.reshape(self.size, self.size, self.channels).transpose(2, 0, 1)

    def _fit(self, image: Image, where: str, changes: Counter[str]) -> Image:
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
        changes[ENLARGED] += image.width < self.size
        if image.mode in ("1", "P", "PA"):  # a palette's indices cannot be averaged
            image = image.convert("L" if self.channels == 1 else "RGB")
        return image.resize((self.size, self.size), Resampling[self.resize.upper()])


def _from_array(pixels: np.ndarray, where: str) -> Image:
    from PIL.Image import fromarray

    if pixels.shape[2:] not in ((), (1,), (3,)):
        raise UserError(f"{where} has shape {pixels.shape}: need [H, W], [H, W, 1] or [H, W, 3]")
    return fromarray(pixels.squeeze(-1) if pixels.shape[2:] == (1,) else pixels)
