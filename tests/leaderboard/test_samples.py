"""Samples on the cards: text that is text, players that need no other file, and nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from records.makers import make_bpd, make_record

from lit_gen.leaderboard.samples import MOST_AUDIO_BYTES, MOST_CHARACTERS, MOST_PLAYERS

from .conftest import make_png
from .test_page import EVIL, Page, page_of

Write = Callable[..., Path]
ROLES = {"sample_text": "final.txt", "sample_audio_0": "final-0.wav", "sample_grid": "final.png"}


def make_wav(seconds: float = 0.01, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(b"\x10\x20" * round(seconds * rate))
    return file.getvalue()


def written(runs: Write, files: dict[str, bytes], roles: dict[str, str] | None = None) -> Path:
    """A run with these files, by their names; by their roles where none are given."""
    roles = roles or {role: name for role, name in ROLES.items() if name in files}
    root = runs(make_record(make_bpd(), files=roles))
    for name, content in files.items():
        (root / "run0" / name).write_bytes(content)
    return root


def text_of(page: Page) -> list[str]:
    """What stands in the page's samples of text."""
    return [text for text in page.texts if text.startswith("===")]


def test_text_is_shown_as_it_is(runs: Write) -> None:
    said = "=== sample 0 ===\nRÖMEO:\n\tO, <i>& \n"
    page, complaints = page_of(written(runs, {"final.txt": said.encode()}))
    assert complaints == []
    assert text_of(page) == [said]
    assert [pre.get("class") for pre in page.all("pre")] == ["samples", None, None]


def test_text_cannot_break_out(runs: Write) -> None:
    page, _ = page_of(written(runs, {"final.txt": f"=== {EVIL} \x1b[2J\0".encode()}))
    assert text_of(page) == [f"=== {EVIL} \ufffd[2J\ufffd"]
    assert len(page.all("script")) == 1


def test_long_text_is_cut(runs: Write) -> None:
    page, _ = page_of(written(runs, {"final.txt": ("===" + "é" * 10**6).encode()}))
    assert text_of(page) == ["===" + "é" * (MOST_CHARACTERS - 3) + " ..."]
    page, _ = page_of(written(runs, {"final.txt": b"=" * MOST_CHARACTERS}))
    assert text_of(page) == ["=" * MOST_CHARACTERS]


def test_a_character_cut_in_half_or_bytes_that_are_no_text_do_no_harm(runs: Write) -> None:
    page, complaints = page_of(written(runs, {"final.txt": b"===\xff\xfe" + "😀".encode() * MOST_CHARACTERS}))
    assert complaints == []
    assert text_of(page) == ["===\ufffd\ufffd" + "😀" * (MOST_CHARACTERS - 5) + " ..."]


def test_recordings_play_without_another_file(runs: Write) -> None:
    sounds = {f"final-{i}.wav": make_wav(0.01 * (i + 1)) for i in (0, 1)}
    page, complaints = page_of(written(runs, sounds, {f"sample_audio_{i}": f"final-{i}.wav" for i in (0, 1)}))
    assert complaints == []
    players = page.all("audio")
    assert [player["controls"] for player in players] == ["controls"] * 2
    embedded = [(player["src"] or "").removeprefix("data:audio/wav;base64,") for player in players]
    assert [base64.b64decode(content) for content in embedded] == list(sounds.values())


def test_so_many_players_and_the_first_ones(runs: Write) -> None:
    """In the order of their numbers: 10 comes after 2."""
    numbers = [10, 2, 1, 0, 11, 3]
    sounds = {f"final-{i}.wav": make_wav(0.01 * (i + 1)) for i in numbers}
    page, complaints = page_of(written(runs, sounds, {f"sample_audio_{i}": f"final-{i}.wav" for i in numbers}))
    assert complaints == []
    sizes = [len(base64.b64decode((player["src"] or "").split(",")[1])) for player in page.all("audio")]
    assert sizes == [44 + 160 * (i + 1) for i in range(MOST_PLAYERS)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<svg onload=alert(1)>" * 9, "no WAV"),
        (b"RIFF", "no WAV"),
        (make_png() + bytes(44), "no WAV"),
        (make_wav(MOST_AUDIO_BYTES / 16_000), "larger than 512 KiB"),
        (None, "No such file"),
    ],
)
def test_what_is_no_small_recording_is_named_and_left_out(content: bytes | None, reason: str, runs: Write) -> None:
    root = written(runs, {} if content is None else {"final-0.wav": content}, {"sample_audio_0": "final-0.wav"})
    page, complaints = page_of(root)
    assert page.all("audio") == []
    (complaint,) = complaints
    assert complaint.startswith(f"{root / 'run0' / 'final-0.wav'}: {reason}")
    assert any(text.startswith(f"sample audio 0: {reason}") for text in page.texts)


@pytest.mark.parametrize("role", ["sample_text", "sample_audio_0"])
def test_what_lies_outside_the_run_is_not_shown(role: str, runs: Write, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_bytes(make_wav() if role == "sample_audio_0" else b"=== secret")
    root = written(runs, {}, {role: ROLES[role]})
    (root / "run0" / ROLES[role]).symlink_to(private)
    page, complaints = page_of(root)
    assert complaints == [f"{root / 'run0' / ROLES[role]}: outside the run's directory"]
    assert page.all("audio") == text_of(page) == []


def test_pictures_are_shown_as_before_and_beside_others(runs: Write) -> None:
    page, _ = page_of(written(runs, {"final.png": make_png(), "final.txt": b"=== x"}))
    assert len(page.all("img")) == 2  # one is the dialog's
    assert text_of(page) == ["=== x"]


def test_no_samples_is_said(runs: Write) -> None:
    page, complaints = page_of(runs(make_record(make_bpd(), files={"checkpoint": "a.ckpt", "sample_audio_x": "b"})))
    assert complaints == []
    assert "no samples" in page.texts
