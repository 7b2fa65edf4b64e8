"""Image files are decoded as an image viewer shows them, and what was done to them is said once."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_gen.data import FolderImages, RandomHeldOut, Transform
from lit_gen.data.picture import COMPOSITED, ENLARGED, FIRST_FRAME, REDUCED, TURNED, UnreadableImageError
from lit_gen.errors import UserError

UPRIGHT = np.array([[10, 60, 110], [30, 80, 130], [50, 100, 240]], np.uint8)
# A viewer's rule of each tag, undone: what a camera that is held so stores of UPRIGHT.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.T,
    6: lambda x: np.rot90(x),
    7: lambda x: x[::-1, ::-1].T,
    8: lambda x: np.rot90(x, -1),
}
HIDDEN, SHOWN = (200, 30, 40), (10, 90, 170)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_orientation(pixels: np.ndarray, tag: int, kind: str, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = tag
    return encoded(Image.fromarray(np.ascontiguousarray(pixels)), kind, exif=exif, **options)


@pytest.mark.parametrize("tag", STORED)
def test_png_is_turned_by_its_orientation(tag: int):
    changes: Counter[str] = Counter()
    content = with_orientation(STORED[tag](UPRIGHT), tag, "PNG")
    assert np.array_equal(Transform(3, 1)(content, "here", changes)[0], UPRIGHT)
    assert changes[TURNED] == (tag > 1)


@pytest.mark.parametrize("tag", STORED)
def test_jpeg_is_turned_by_its_orientation(tag: int):
    # blocks of 8x8 pixels of one grey survive the compression
    blocks = np.kron(UPRIGHT, np.ones((8, 8), np.uint8))
    content = with_orientation(STORED[tag](blocks), tag, "JPEG", quality=100)
    assert np.abs(Transform(24, 1)(content, "here")[0].astype(int) - blocks).max() <= 1


def test_damaged_exif_leaves_the_image_as_it_is_stored():
    content = encoded(Image.fromarray(UPRIGHT), "PNG", exif=b"Exif\0\0not a TIFF header")
    assert np.array_equal(Transform(3, 1)(content, "here")[0], UPRIGHT)


def two_colours(mode: str) -> Image.Image:
    """A hidden colour on the left, one that is shown on the right."""
    colours = Image.new("RGBA", (2, 2), (*SHOWN, 255))
    colours.paste((*HIDDEN, 0), (0, 0, 1, 2))
    return colours.convert(mode)


def palette(**transparency) -> tuple[Image.Image, dict]:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([*HIDDEN, *SHOWN])
    image.paste(0, (0, 0, 1, 2))
    return image, transparency


TRANSPARENT = {
    "RGBA PNG": (*(two_colours("RGBA"), {}), "PNG"),
    "RGBA WebP": (two_colours("RGBA"), {"lossless": True, "exact": True}, "WEBP"),
    "RGBA TIFF": (two_colours("RGBA"), {}, "TIFF"),
    "palette PNG with one transparent index": (*palette(transparency=0), "PNG"),
    "palette PNG with a transparency of each index": (*palette(transparency=b"\x00\xff"), "PNG"),
    "palette GIF": (*palette(transparency=0), "GIF"),
    "RGB PNG with a transparent colour": (two_colours("RGB"), {"transparency": HIDDEN}, "PNG"),
}


@pytest.mark.parametrize("name", TRANSPARENT)
@pytest.mark.parametrize(("background", "level"), [("white", 255), ("black", 0)])
def test_background_replaces_hidden_colours(name: str, background: str, level: int):
    image, options, kind = TRANSPARENT[name]
    changes: Counter[str] = Counter()
    x = Transform(2, 3, background=background)(encoded(image, kind, **options), "here", changes)
    assert np.array_equal(x.transpose(1, 2, 0), [[[level] * 3, SHOWN]] * 2)
    assert changes[COMPOSITED] == 1


@pytest.mark.parametrize(("background", "expected"), [("white", [[255, 70]]), ("black", [[0, 70]])])
def test_background_replaces_hidden_grey(background: str, expected: list):
    grey = np.array([[[90, 0], [70, 255]]] * 2, np.uint8)
    level_90 = Image.fromarray(np.array([[90, 70]] * 2, np.uint8))
    for content in (encoded(Image.fromarray(grey), "PNG"), encoded(level_90, "PNG", transparency=90)):
        assert Transform(2, 1, background=background)(content, "here")[0].tolist() == expected * 2


def test_half_transparent_pixels_are_mixed_before_the_resize():
    pixels = np.array([[[200, 100, 0, 51]] * 2, [[0, 0, 0, 0]] * 2], np.uint8)  # a fifth opaque, then not at all
    x = Transform(1, 3, resize="box", background="black")(encoded(Image.fromarray(pixels), "PNG"), "here")
    assert x[:, 0, 0].tolist() == [20, 10, 0]


@pytest.mark.parametrize("channels", [1, 3])
def test_opaque_alpha_changes_nothing(channels: int, pictures: Callable[..., np.ndarray]):
    pixels = pictures(1, 6, 6, 4)[0]
    pixels[..., 3] = 255
    changes: Counter[str] = Counter()
    for size in (6, 3):
        shrink = Transform(size, channels, resize="box")
        with_alpha = shrink(encoded(Image.fromarray(pixels), "PNG"), "here", changes)
        assert np.array_equal(with_alpha, shrink(encoded(Image.fromarray(pixels[..., :3]), "PNG"), "here"))
    assert changes.total() == 0


def png_of_16_bits(channels: int) -> bytes:
    """A 2x2 PNG in which each value is 0x12ff; Pillow does not write 16 bits of colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + b"\x12\xff" * (2 * channels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, {3: 2, 4: 6}[channels], 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(row * 2)) + chunk(b"IEND", b"")


def frames(kind: str) -> bytes:
    first, second = (Image.fromarray(np.full((2, 2), level, np.uint8)) for level in (40, 200))
    return encoded(first, kind, save_all=True, append_images=[second])


@pytest.mark.parametrize(
    ("content", "level", "change"),
    [
        (png_of_16_bits(3), 0x12, REDUCED),
        (b"P6 2 2 65535\n" + b"\x12\x00" * 12, 0x12, REDUCED),
        (frames("GIF"), 40, FIRST_FRAME),
        (frames("PNG"), 40, FIRST_FRAME),
        (frames("TIFF"), 40, FIRST_FRAME),
        (encoded(Image.new("L", (1, 1), 7), "PNG"), 7, ENLARGED),
    ],
    ids=["16-bit PNG", "16-bit PPM", "GIF", "APNG", "TIFF", "small"],
)
def test_changes_are_counted(content: bytes, level: int, change: str):
    changes: Counter[str] = Counter()
    assert Transform(2, 1, resize="nearest")(content, "here", changes).tolist() == [[[level] * 2] * 2]
    assert {name for name, count in changes.items() if count} == {change}


def test_changes_of_a_data_set_are_said_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "mine").mkdir()
    for i in range(4):
        (tmp_path / "mine" / f"{i}.png").write_bytes(with_orientation(UPRIGHT + i, 3, "PNG"))
    (tmp_path / "mine" / "5.gif").write_bytes(encoded(palette()[0], "GIF", transparency=0))
    data = FolderImages(str(tmp_path / "mine"), "mine", Transform(3, 1, resize="box"), RandomHeldOut(1, 1))
    with caplog.at_level(logging.INFO):
        data.setup()
        data.setup()
    (line,) = [line for line in caplog.messages if "images: " in line]
    assert line == (
        "data 'mine': images: 4 turned by their EXIF orientation; 1 transparent, put on transform.background; "
        "1 smaller than transform.size, enlarged"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"the file is empty"),
        (b"some words", r"not an image that Pillow can read"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", r"a Git LFS pointer .* run git lfs pull"),
        (encoded(Image.effect_noise((40, 40), 90), "PNG")[:400], r"^image file is truncated"),
    ],
    ids=["empty", "words", "LFS", "truncated"],
)
def test_unreadable_file_has_a_reason(content: bytes, reason: str, tmp_path: Path):
    (tmp_path / "a.png").write_bytes(content)
    for source in (content, tmp_path / "a.png"):
        with pytest.raises(UnreadableImageError, match=reason):
            Transform(2, 1)(source, "here")


def test_file_that_cannot_be_opened_has_the_reason_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied", "a.png")

    monkeypatch.setattr("PIL.Image.open", denied)  # the tests may run as root, whom no permission stops
    with pytest.raises(UnreadableImageError, match=r"^permission denied$"):
        Transform(2, 1)(tmp_path / "a.png", "here")


def test_too_many_pixels_are_a_reason(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    content = encoded(Image.new("L", (4, 4)), "PNG")
    with pytest.raises(UnreadableImageError, match=r"^too many pixels: .*16 pixels"):
        Transform(4, 1)(content, "here")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)  # Pillow would only warn
    assert Transform(4, 1)(content, "here").shape == (1, 4, 4)


def test_other_backgrounds_are_rejected():
    with pytest.raises(UserError, match=r"transform\.background is 'whit': .* did you mean 'white'"):
        Transform(2, 1, background="whit")
