"""A run's samples on its card: an image, a text, or recordings with players.

They are embedded, so that the page needs no other file; large ones are shortened or left out.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from lit_gen.leaderboard.markup import Markup, element, join
from lit_gen.leaderboard.table import Row
from lit_gen.records.plain_file import check_plain

MOST_CHARACTERS = 1_200
MOST_PICTURE_BYTES = 4 * 2**20
MOST_PLAYERS = 4
MOST_AUDIO_BYTES = 2**19
"""Of one recording: half a minute at 8 kHz and 16 bits."""

_ANY_SIZE = 2**62  # of what is read only in part
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = 24  # bytes: signature, then the header chunk's length, name, width and height
_WAV_HEADER = 44  # bytes
_PLAYER = re.compile(r"sample_audio_(\d+)")


def samples(row: Row) -> tuple[Markup, list[str]]:
    """The embedded samples; what cannot be shown is named in its place, and in a line with its path.

    Args:
        row: The row of a run.
    """
    assert row.record is not None
    files = row.record.files
    players = sorted((int(found[1]), role) for role in files if (found := _PLAYER.fullmatch(role)))
    roles = [*(role for role in _SHOWN if role in files), *(role for _, role in players[:MOST_PLAYERS])]
    if not roles:
        return element("div", "no samples", class_="missing"), []
    parts, complaints = [], []
    for role in roles:
        shown, complaint = _one(row, role, files[role])
        parts.append(shown)
        complaints += [complaint] if complaint else []
    return join(parts), complaints


def _one(row: Row, role: str, name: str) -> tuple[Markup, str]:
    assert row.directory is not None
    path = row.directory / name
    try:
        # A link outside the run's directory could put a foreign file onto a page meant to be shared.
        if not path.resolve().is_relative_to(row.directory.resolve()):
            raise ValueError("outside the run's directory")
        return _SHOWN.get(role, _sound)(path, row.label), ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return element("div", f"{_said(role)}: {reason}", class_="missing"), f"{path}: {reason}"


def _said(role: str) -> str:
    """A role in words.

    >>> _said("sample_audio_3")
    'sample audio 3'
    """
    return role.replace("_", " ")


def _picture(path: Path, label: str) -> Markup:
    check_plain(path, MOST_PICTURE_BYTES)
    picture = path.read_bytes()
    if len(picture) < _PNG_HEADER or not picture.startswith(_PNG):
        raise ValueError("no PNG")
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    image = element("img", src=_uri("image/png", picture), alt=f"Samples of {label}", width=width, height=height,
                    loading="lazy")
    return element("button", image, class_="grid", type_="button", title="Enlarge")


def _text(path: Path, label: str) -> Markup:
    check_plain(path, _ANY_SIZE)
    with path.open("rb") as file:
        found = file.read(4 * MOST_CHARACTERS + 4)  # four bytes a character at most
    text = found.decode("utf-8", "replace")
    excerpt = "".join(c if c in "\r\n\t" or unicodedata.category(c) != "Cc" else "\N{REPLACEMENT CHARACTER}"
                      for c in text[:MOST_CHARACTERS])
    more = " ..." if len(text) > MOST_CHARACTERS else ""
    return element("pre", excerpt + more, class_="samples", tabindex=0, aria_label=f"Samples of {label}")


def _sound(path: Path, label: str) -> Markup:
    check_plain(path, _ANY_SIZE)
    with path.open("rb") as file:
        sound = file.read(MOST_AUDIO_BYTES + 1)
    if len(sound) < _WAV_HEADER or sound[:4] != b"RIFF" or sound[8:12] != b"WAVE":
        raise ValueError("no WAV")
    if len(sound) > MOST_AUDIO_BYTES:
        raise ValueError(f"larger than {MOST_AUDIO_BYTES // 1024:,} KiB")
    return element("audio", src=_uri("audio/wav", sound), controls="controls", aria_label=f"Sample of {label}")


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


_SHOWN: dict[str, Callable[[Path, str], Markup]] = {"sample_grid": _picture, "sample_text": _text}
