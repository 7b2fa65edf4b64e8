"""A user's own recordings: file types, class and split folders, splits by content, damaged files."""

from __future__ import annotations

import io
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lit_gen.data import AudioFolder, Loader, RandomHeldOut
from lit_gen.errors import UserError
from lit_gen.quantization import mu_law_encode

RATE = 8000


def sound(number: int, size: int = 40) -> np.ndarray:
    """Amplitudes of which each recording has its own; multiples of 1/128, which all widths hold exactly."""
    return np.random.default_rng(number).integers(-127, 128, size) / 128


def save(path: Path, x: np.ndarray, subtype: str = "PCM_16", rate: int = RATE, file_format: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x, rate, subtype=subtype, format=file_format)
    return path


def recordings(path: Path, **options) -> AudioFolder:
    given = {"sample_rate": RATE, "length": 10, "batch_size": 4, "loader": Loader(eval_batch_size=3), **options}
    return AudioFolder(str(path), "mine", **given)


def windows(data: AudioFolder) -> dict[str, set[tuple[int, ...]]]:
    return {name: {tuple(row) for row in data.split(name).x[:, 0].tolist()} for name in ("train", "val", "test")}


def heads(data: AudioFolder, count: int) -> dict[str, set[int]]:
    """The numbers of the recordings of each split, by their first window."""
    of = {tuple(mu_law_encode(sound(i))[:10].tolist()): i for i in range(count)}
    return {name: {of[row] for row in rows if row in of} for name, rows in windows(data).items()}


@pytest.mark.parametrize(
    ("subtype", "file_format", "ending"),
    [
        ("PCM_U8", "WAV", "wav"),
        ("PCM_16", "WAV", "wav"),
        ("PCM_24", "WAV", "WAV"),
        ("PCM_32", "WAV", "wav"),
        ("FLOAT", "WAV", "wav"),
        ("PCM_24", "WAVEX", "wav"),
        ("FLOAT", "WAVEX", "wav"),
        ("PCM_S8", "FLAC", "flac"),
        ("PCM_24", "FLAC", "flac"),
    ],
)
def test_every_width_of_wav_and_flac_is_read_exactly(subtype: str, file_format: str, ending: str, tmp_path: Path):
    for number in range(8):
        save(tmp_path / f"{number}.{ending}", sound(number), subtype, file_format=file_format)
    rows = set().union(*windows(recordings(tmp_path)).values())
    wanted = {tuple(mu_law_encode(sound(n))[i : i + 10].tolist()) for n in range(8) for i in range(0, 40, 10)}
    assert rows == wanted


def test_ogg_is_read_channels_are_averaged_and_higher_rates_resampled(tmp_path: Path):
    time = np.arange(2 * RATE) / (2 * RATE)
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    for number in range(6):
        x = np.stack([tone * (1 + number / 10), tone * (1 - number / 10)], axis=1)
        save(tmp_path / f"{number}.ogg", x, "VORBIS", 2 * RATE, "OGG")
    data = recordings(tmp_path, length=4000)
    assert {name: len(data.split(name).x) for name in ("train", "val", "test")} == {"train": 4, "val": 4, "test": 4}
    wanted = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE))[:4000]
    assert np.abs(data.decode(data.split("test").x[0]).numpy() - wanted).mean() < 0.03


def test_class_folders_are_labels_in_natural_order(tmp_path: Path):
    for number, name in enumerate(["2", "10", "2", "10", "1", "1", "2", "10"]):
        save(tmp_path / name / f"{number}.wav", sound(number))
    data = recordings(tmp_path)
    label = {}
    for name in ("train", "val", "test"):
        for row, number in zip(data.split(name).x[:, 0].tolist(), data.split(name).label.tolist(), strict=True):
            label[tuple(row)] = number
    found = [label[tuple(mu_law_encode(sound(number))[:10].tolist())] for number in range(8)]
    assert found == [1, 2, 1, 2, 0, 0, 1, 2]


def test_a_flat_folder_has_no_labels_and_groups_are_recordings(tmp_path: Path):
    for number in range(60):
        save(tmp_path / f"{number}.wav", sound(number))
    split = recordings(tmp_path).split("train")
    assert split.label is None
    assert split.group_name == "recording"
    assert split.group.bincount().tolist() == [4] * (len(split.x) // 4)


def test_split_folders_are_used_and_a_missing_one_is_carved(tmp_path: Path):
    for number in range(9):
        save(tmp_path / ("train" if number < 6 else "Test") / f"{number}.wav", sound(number))
    found = heads(recordings(tmp_path, splits=RandomHeldOut(num_val=2)), 9)
    assert found["test"] == {6, 7, 8}
    assert len(found["val"]) == 2
    assert found["train"] | found["val"] == set(range(6))


def test_adding_recordings_moves_none_from_train_into_validation_or_test(tmp_path: Path):
    before: dict[str, set[int]] = {}
    for count in (8, 9, 15, 40, 80):
        for number in range(count):
            save(tmp_path / f"{number}.wav", sound(number))
        found = heads(recordings(tmp_path), count)
        assert set().union(*found.values()) == set(range(count))
        if before:
            assert before["train"] <= found["train"]
            assert not before["val"] & found["test"]
        before = found
    assert 2 <= len(before["val"]) <= 20
    assert 2 <= len(before["test"]) <= 20


def test_names_and_copies_of_files_do_not_matter(tmp_path: Path):
    for number in range(12):
        save(tmp_path / "a" / f"{number}.wav", sound(number))
        save(tmp_path / "b" / f"x{99 - number}.wav", sound(number))
        save(tmp_path / "b" / f"copy{number}.wav", sound(number))
    assert heads(recordings(tmp_path / "a"), 12) == heads(recordings(tmp_path / "b"), 12)


def damaged(folder: Path) -> Path:
    """Eight good recordings and three files that cannot be decoded."""
    for number in range(8):
        save(folder / f"{number}.wav", sound(number))
    (folder / "broken.wav").write_bytes(b"RIFF nothing")
    flac = save(folder / "short.flac", sound(9, 20_000)).read_bytes()
    (folder / "short.flac").write_bytes(flac[: len(flac) // 2])
    save(folder / "silent.wav", sound(9, 0))
    return folder


def test_unreadable_files_say_why_in_one_line(tmp_path: Path):
    with pytest.raises(UserError) as caught:
        recordings(damaged(tmp_path)).setup()
    line = str(caught.value)
    assert line.startswith("3 of 11 recordings of 'mine' cannot be read: 'broken.wav' is not an audio file that can be")
    assert "'short.flac' is not an audio file that can be decoded (" in line
    assert line.endswith(
        "'silent.wav' has no samples; repair or remove them, or set skip_unreadable to true"
    )


def test_what_is_no_recording_is_left_out_with_a_count(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for number in range(6):
        save(tmp_path / f"{number}.wav", sound(number))
    for name in ("notes.txt", "cover.png", "song.m4a"):
        (tmp_path / name).write_text("")
    (tmp_path / "@eaDir").mkdir()
    save(tmp_path / "@eaDir" / "preview.wav", sound(9))
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    with caplog.at_level(logging.INFO):
        data = recordings(tmp_path)
        data.setup()
    assert set().union(*heads(data, 6).values()) == set(range(6))
    assert caplog.messages[0] == (
        "mine: left out: 1 file (.m4a, which libsndfile does not decode), 2 files (not recordings), "
        "1 folder (@eaDir), 1 link (to a file that does not exist)"
    )


def test_damaged_files_can_be_left_out_and_are_counted(tmp_path: Path):
    data = recordings(damaged(tmp_path), skip_unreadable=True)
    data.setup()
    assert data.skipped == 3
    assert set().union(*heads(data, 8).values()) == set(range(8))


def test_a_wav_whose_header_announces_more_is_read_to_its_end(tmp_path: Path):
    """Recorders that were cut off leave such headers; libsndfile corrects the length."""
    file = io.BytesIO()
    soundfile.write(file, sound(0), RATE, format="WAV", subtype="PCM_16")
    content = bytearray(file.getvalue())
    content[40:44] = struct.pack("<I", 2**31)
    for number in range(1, 6):
        save(tmp_path / f"{number}.wav", sound(number))
    (tmp_path / "0.wav").write_bytes(bytes(content))
    assert set().union(*heads(recordings(tmp_path), 6).values()) == set(range(6))


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ([], {}, "no recording in '{}': put files there that end in one of .aif, "),
        (["a.wav"], {"path": "a.wav"}, "'{}/a.wav' is a file: path must be a folder of recordings"),
        (["a.wav"], {"path": "b"}, "no folder '{}/b': '{}' has no 'b'"),
        (["test/a.wav"], {}, "'{}' has a folder 'test' but no training folder: name that 'train'"),
        (["val/a.wav", "valid/a.wav", "train/a.wav"], {}, "'{}' has two val folders, 'val' and 'valid'; join or"),
        (["a.wav"], {"sample_rate": 16_000}, "recording 'a.wav' of '{}' was recorded at 8000 Hz, below sample_rate"),
        (["a.wav"], {}, "data set 'mine' has 1 training examples and 4 are held out; lower splits.num_val or"),
    ],
    ids=["none", "a file", "no folder", "no train", "two", "rate", "few"],
)
def test_folders_that_do_not_fit_are_one_line(files: list[str], options: dict, message: str, tmp_path: Path):
    for file in files:
        save(tmp_path / file, sound(0))
    given = dict(options)
    with pytest.raises(UserError) as caught:
        recordings(tmp_path / given.pop("path", ""), **given).setup()
    assert str(caught.value).startswith(message.replace("{}", str(tmp_path)))
    assert "\n" not in str(caught.value)
