"""Samples of text and sound while training goes on: what is written, printed and handed to W&B."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from offline_runs import read_offline_run
from torch import Tensor

from callbacks.toys import Counter, Ramp, train
from lit_gen.callbacks import Budget, SampleGrid
from lit_gen.data import Modality, Split
from lit_gen.media.recordings import write_wav
from lit_gen.media.sample_files import write_samples
from lit_gen.media.texts import excerpt
from lit_gen.runs import tracking

T, ALPHABET = 6, "ab\nc"


class _Sequences(Ramp):
    """Twelve training examples of six integers in 0..3."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def read(self) -> dict[str, Split]:  # type: ignore[override]
        x = torch.arange(12 * T).remainder(4).byte().view(12, *self.shape)
        return {"train": Split(x), "val": Split(x[:5]), "test": Split(x[:5])}


class _Letters(_Sequences):
    modality: ClassVar[Modality] = "text"

    def decode(self, x: Tensor) -> str:
        return "".join(ALPHABET[level] for level in x.tolist())


class _Tones(_Sequences):
    modality: ClassVar[Modality] = "audio"
    sample_rate = 8000

    def decode(self, x: Tensor) -> Tensor:
        return x.flatten() / 2 - 1


class _Speaker(Counter):
    """Sample i is i, i+1, i+2 ... of four levels."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def generate(self, noise: Any, label: Any = None) -> Tensor:
        levels = (torch.arange(len(noise))[:, None] + torch.arange(T)).remainder(4)
        return levels.byte().view(-1, *self.shape)


def text_run(folder: Path, **options: Any) -> SampleGrid:
    grid = SampleGrid(num_samples=2)
    train(_Speaker(T), Budget(1000), grid, data=_Letters(T), max_epochs=1, default_root_dir=folder, **options)
    return grid


def audio_run(folder: Path, **options: Any) -> SampleGrid:
    grid = SampleGrid(num_samples=3)
    train(_Speaker(1, T), Budget(1000), grid, data=_Tones(1, T), max_epochs=1, default_root_dir=folder, **options)
    return grid


def pcm(file: Path) -> tuple[tuple[int, int, int], list[int]]:
    with wave.open(str(file)) as opened:
        header = (opened.getnchannels(), opened.getsampwidth(), opened.getframerate())
        return header, np.frombuffer(opened.readframes(10**6), "<i2").tolist()


def test_text_is_written_whole_and_its_first_sample_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = text_run(tmp_path)
    (file,) = (tmp_path / "samples").iterdir()
    assert grid.latest == [file]
    assert file.name == "0000000012.txt"
    assert file.read_bytes().decode() == "=== sample 0 ===\nab\ncab\n\n=== sample 1 ===\nb\ncab\n\n"
    assert capsys.readouterr().out == "a sample after 12 windows:\nab\ncab\n"


def test_text_is_printed_above_the_bar_where_there_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lit_gen.callbacks import ProgressBar

    train(
        _Speaker(T), SampleGrid(num_samples=1), ProgressBar(interval=1000), data=_Letters(T), max_epochs=1,
        enable_progress_bar=True, default_root_dir=tmp_path,
    )  # fmt: skip
    out = capsys.readouterr()
    assert "a sample after 0 windows:\nab\ncab\n" in out.err
    assert "sample" not in out.out


def test_line_ends_and_letters_of_any_script_are_kept(tmp_path: Path) -> None:
    class Plain:
        modality = "text"

        def decode(self, x: Tensor) -> str:
            return "é\r\n\U0001f600\ud800"  # the last is half of a character, which UTF-8 has no bytes for

    (file,) = write_samples(torch.zeros(1, 1), 2, Plain(), tmp_path / "deep" / "text")
    assert file.read_bytes() == "=== sample 0 ===\né\r\n\U0001f600?\n".encode()


def test_an_excerpt_is_short_and_obeyed_by_no_terminal() -> None:
    assert excerpt("a\nb\nc", lines=2) == "a\nb ..."
    assert excerpt("abc", characters=3) == "abc"
    assert excerpt("abcd", characters=3) == "abc ..."
    assert excerpt("\x1b]0;title\x07\r\t\x00é\n") == "\ufffd]0;title\ufffd\ufffd\ufffd\ufffdé\n"


def test_audio_is_one_playable_file_a_sample(tmp_path: Path) -> None:
    grid = audio_run(tmp_path)
    names = ["0000000012-0.wav", "0000000012-1.wav", "0000000012-2.wav"]
    assert [file.name for file in grid.latest] == names
    assert sorted(file.name for file in (tmp_path / "samples").iterdir()) == names
    top = [-32767, -16384, 0, 16384]  # levels 0..3 are -1, -0.5, 0, 0.5
    for i, file in enumerate(grid.latest):
        assert pcm(file) == ((1, 2, 8000), [top[(i + t) % 4] for t in range(T)])


def test_what_is_too_loud_is_cut_off_and_does_not_wrap_around(tmp_path: Path) -> None:
    file = write_wav(torch.tensor([1.5, -1.5, 1.0, -1.0, 1e-5]), 16_000, tmp_path / "loud.wav")
    assert pcm(file) == ((1, 2, 16_000), [32767, -32767, 32767, -32767, 0])


@pytest.mark.parametrize("data", [_Letters(T), _Tones(1, T)])
def test_no_samples_where_none_are_wanted(data: _Sequences, tmp_path: Path) -> None:
    model = _Speaker(*data.shape)
    train(model, SampleGrid(num_samples=0), data=data, max_epochs=1, default_root_dir=tmp_path)
    assert not (tmp_path / "samples").exists()


def test_fewer_are_drawn_of_what_takes_its_time_to_read_or_hear() -> None:
    assert [SampleGrid().count(data) for data in (Ramp(), _Letters(T), _Tones(1, T))] == [64, 8, 8]
    assert [SampleGrid(num_samples=n).count(_Letters(T)) for n in (0, 5)] == [0, 5]


def test_wandb_shows_text_as_a_table_and_audio_as_players(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By W&B's own reader of an offline run; for audio it has all it needs."""
    monkeypatch.delenv("WANDB_MODE")
    loggers = tracking.loggers(tmp_path, tracking.Wandb(mode="offline"), {})
    try:
        text_run(tmp_path, logger=loggers)
        sounds = audio_run(tmp_path, logger=loggers).latest
    finally:
        tracking.finish(loggers)
    run = read_offline_run(tmp_path)
    assert run.column("samples._type") == ["table-file"]
    (table,) = tmp_path.glob("wandb/offline-run-*/files/media/table/samples_*.table.json")
    assert json.loads(table.read_text()) == {"columns": ["sample"], "data": [["ab\ncab"], ["b\ncab\n"]], **_keys(table)}
    for i, file in enumerate(sounds):
        assert run.column(f"samples/{i}._type") == ["audio-file"]
        (shown,) = tmp_path.glob(f"wandb/offline-run-*/files/media/audio/samples/{i}_*.wav")
        assert shown.read_bytes() == file.read_bytes()
    assert {12} == set(run.column("examples_seen"))


def _keys(table: Path) -> dict[str, Any]:
    """What W&B adds."""
    return {key: value for key, value in json.loads(table.read_text()).items() if key not in ("columns", "data")}
