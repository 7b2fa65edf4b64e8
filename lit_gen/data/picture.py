"""Opening an image file as an image viewer shows it: upright, its first frame, on a stated background."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lit_gen.errors import UserError

if TYPE_CHECKING:
    from collections import Counter

    from PIL.Image import Image

Background = Literal["white", "black"]
BACKGROUNDS: tuple[Background, ...] = ("white", "black")

TURNED = "turned by their EXIF orientation"
COMPOSITED = "transparent, put on transform.background"
REDUCED = "reduced from 16 to 8 bits a channel"
FIRST_FRAME = "with several frames, of which the first is used"
ENLARGED = "smaller than transform.size, enlarged"
CHANGES = (TURNED, COMPOSITED, REDUCED, FIRST_FRAME, ENLARGED)
"""What decoding does to some images of a data set, in words that follow a number of images."""

# 8 bits a channel: what `convert` maps to grey or colour without changing the scale of the values
_EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_ORIENTATION = 0x0112
_LFS = b"version https://git-lfs.github.com/spec/"


class UnreadableImageError(Exception):
    """The bytes are not an image that can be decoded; the message is the reason."""


def open_picture(source: bytes | Path, where: str, background: Background, changes: Counter[str]) -> Image:
    """Decodes a file as an image viewer shows it.

    Args:
        source: Content of the file, or its path.
        where: What messages call it.
        background: Colour behind transparent pixels.
        changes: Counts what was done, by the names in `CHANGES`.

    Returns:
        An image with 8 bits a channel and without transparency.

    Raises:
        UnreadableImageError: The file cannot be decoded.
        UserError: The image has no 8 bits a channel and cannot be reduced to them without a guess.
    """
    image = _load(source, changes)
    if image.mode not in _EIGHT_BIT:
        raise UserError(f"{where} has mode {image.mode}, not 8 bits a channel; convert it to 8 bits first")
    return _opaque(_upright(image, changes), background, changes)


def _load(source: bytes | Path, changes: Counter[str]) -> Image:
    from PIL.Image import DecompressionBombError
    from PIL.Image import open as open_image

    try:
        with warnings.catch_warnings():
            # Pillow warns, without the name of the file, of damaged metadata and of half of its limit of pixels.
            warnings.simplefilter("ignore")
            with open_image(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                deep, several = _is_deep(image), bool(getattr(image, "is_animated", False))
                if several:
                    image.seek(0)  # `is_animated` may have looked for a second frame
                image.load()
    except DecompressionBombError as error:
        raise UnreadableImageError(f"too many pixels: {error}") from error
    # Pillow's plugins raise nearly anything on a damaged file: struct.error, IndexError, SyntaxError, ...
    except Exception as error:
        raise UnreadableImageError(_reason(source, error)) from error
    changes.update({REDUCED: int(deep and image.mode in _EIGHT_BIT), FIRST_FRAME: int(several)})
    return image


def _is_deep(image: Image) -> bool:
    """Whether the file has 16 bits a channel, which Pillow reduces in silence if the image has colour or alpha."""
    tiles = [tile[3] for tile in getattr(image, "tile", [])]
    args = [part for tile in tiles for part in (tile if isinstance(tile, tuple) else (tile,))]
    wide = any(isinstance(part, str) and ";16" in part for part in args)
    return wide or (image.format == "PPM" and any(type(part) is int and part > 255 for part in args))


def _reason(source: bytes | Path, error: Exception) -> str:
    """Why a file could not be decoded, in a few words."""
    from PIL import UnidentifiedImageError

    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    if not isinstance(error, UnidentifiedImageError):
        return " ".join(str(error).split())[:100] or type(error).__name__
    try:
        head = source[: len(_LFS)] if isinstance(source, bytes) else _head(source)
    except OSError:
        head = b"?"
    if head == _LFS:
        return "a Git LFS pointer instead of the image: run git lfs pull"
    return "not an image that Pillow can read" if head else "the file is empty"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_LFS))


def _upright(image: Image, changes: Counter[str]) -> Image:
    # Not `ImageOps.exif_transpose`: it writes the remaining metadata anew, which fails where they are damaged.
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata: viewers show the image as it is stored
        return image
    methods = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    if orientation not in methods:
        return image
    changes[TURNED] += 1
    return image.transpose(methods[orientation])


def _opaque(image: Image, background: Background, changes: Counter[str]) -> Image:
    from PIL.Image import alpha_composite, new

    if not image.has_transparency_data:
        return image
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > 255:  # a colour of 16 bits, of which the pixels keep the upper 8
        image.info["transparency"] = tuple(value >> 8 for value in key)
    whole = image.convert("RGBA")
    if whole.getchannel("A").getextrema() == (255, 255):  # as it would be without an alpha channel
        image.info.pop("transparency", None)
        return image.convert({"LA": "L", "PA": "RGB", "RGBA": "RGB"}.get(image.mode, image.mode))
    changes[COMPOSITED] += 1
    return alpha_composite(new("RGBA", whole.size, background), whole).convert("RGB")
