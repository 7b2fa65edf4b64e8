"""Audio: files to mu-law values and back, windows within recordings, padding that is counted."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from lit_gen.data import AudioColumns, HubAudio, HubSource, Loader, Splits
from lit_gen.data.decode_audio import decode_audio
from lit_gen.errors import UserError
from lit_gen.quantization import ZERO_LEVEL, mu_law_decode, mu_law_encode

RATE = 8000


def wav(samples: np.ndarray, rate: int = RATE, width: int = 2) -> bytes:
    """A WAV file of integers [L] or [L, channels] of ``width`` bytes."""
    samples = samples if samples.ndim == 2 else samples[:, None]
    raw = samples.astype("<i4").view(np.uint8).reshape(*samples.shape, 4)[..., :width].tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(samples.shape[1])
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(raw)
    return file.getvalue()


def recording(number: int, size: int) -> np.ndarray:
    """16-bit samples of which each recording has its own."""
    return np.random.default_rng(number).integers(-30_000, 30_000, size)


SIZES = {"train": [25, 40, 7, 31, 18, 22, 50, 16, 33, 12], "test": [20, 35, 9]}


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """Ten recordings to train and three to test, of which two are shorter than ten samples."""
    return store(
        tmp_path / "copies" / "spoken",
        {part: [wav(recording(100 * len(sizes) + i, n)) for i, n in enumerate(sizes)] for part, sizes in SIZES.items()},
    )


def store(folder: Path, parts: dict[str, list[bytes]]) -> Path:
    """Writes Arrow's own way: `datasets` would encode audio by a package that reading it does not need."""
    import datasets
    import pyarrow
    import pyarrow.parquet

    folder.mkdir(parents=True)
    features = {
        "audio": datasets.Audio(sampling_rate=RATE),
        "label": datasets.ClassLabel(num_classes=20),
        "speaker": datasets.Value("string"),
    }
    schema = datasets.Features(features).arrow_schema
    for part, files in parts.items():
        columns = {
            "audio": [{"bytes": file, "path": None} for file in files],
            "label": list(range(len(files))),
            "speaker": ["ann"] * len(files),
        }
        pyarrow.parquet.write_table(pyarrow.table(columns, schema), folder / f"{part}-00000-of-00001.parquet")
    return folder


def audio(path: Path, **options) -> HubAudio:
    given = {"sample_rate": RATE, "length": 10, "batch_size": 4, "loader": Loader(eval_batch_size=3), **options}
    given = {"columns": AudioColumns(label="label"), "splits": Splits(num_val=3), **given}
    return HubAudio(str(path), "spoken", **given)


def levels(part: str, row: int) -> list[int]:
    """By the paper's formula, written out."""
    x = recording(100 * len(SIZES[part]) + row, SIZES[part][row]) / 32768
    companded = np.sign(x) * np.log(1 + 255 * np.abs(x)) / np.log(256)
    return [int((f + 1) / 2 * 255 + 0.5) for f in companded]


# ------------------------------------------------------------------ mu-law


def test_mu_law_is_the_papers_formula():
    x = np.linspace(-1, 1, 40_001)
    companded = np.sign(x) * np.log(1 + 255 * np.abs(x)) / np.log(256)
    error = mu_law_encode(x) / 127.5 - 1 - companded
    assert np.abs(error).max() <= 1 / 255 + 1e-12, "the nearest of 256 levels, half a bin away at most"
    assert set(mu_law_encode(x)) == set(range(256))


def test_mu_law_is_monotone_and_odd():
    x = np.linspace(-1, 1, 40_001)
    assert (np.diff(mu_law_encode(x).astype(int)) >= 0).all()
    decoded = mu_law_decode(np.arange(256))
    assert (np.diff(decoded) > 0).all()
    assert decoded == pytest.approx(-decoded[::-1], abs=1e-7)
    assert (decoded[0], decoded[-1]) == (-1, 1)
    away = x[x > 1e-4]  # 0 itself lies on the edge between two bins
    assert np.array_equal(mu_law_encode(away).astype(int), 255 - mu_law_encode(-away).astype(int))


def test_decoding_stays_within_half_a_bin():
    x = np.linspace(-1, 1, 65_537)
    decoded = mu_law_decode(mu_law_encode(x)).astype(np.float64)
    companded = [np.sign(a) * np.log1p(255 * np.abs(a)) / np.log(256) for a in (x, decoded)]
    assert np.abs(companded[0] - companded[1]).max() <= 1 / 255 + 1e-6
    # in amplitude: the curve's slope there, so a hundredth of what is loud and next to nothing of what is faint
    assert (np.abs(decoded - x) <= 0.0224 * np.abs(x) + 9e-5).all()
    assert mu_law_encode(decoded).tolist() == mu_law_encode(x).tolist()


def test_silence_and_what_is_too_loud():
    assert mu_law_encode(np.zeros(3)).tolist() == [ZERO_LEVEL] * 3
    assert np.abs(mu_law_decode(np.array([ZERO_LEVEL]))) < 1e-4
    assert mu_law_encode(np.array([-7.0, 7.0])).tolist() == [0, 255]


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("width", [2, 3, 4])
def test_pcm_of_every_width_is_read_as_a_fraction_of_the_largest(width: int):
    most = 2 ** (8 * width - 1)
    samples = np.array([0, 1, -1, most // 2, -most // 2, most - 1, -most])
    assert decode_audio(wav(samples, width=width), RATE, "it").tolist() == (samples / most).tolist()


def test_one_byte_has_no_sign():
    assert decode_audio(wav(np.array([0, 128, 255]), width=1), RATE, "it").tolist() == [-1, 0, 127 / 128]


def test_channels_are_averaged(tmp_path: Path):
    file = tmp_path / "stereo.wav"
    file.write_bytes(wav(np.array([[100, 300], [-200, 200], [7, 7]])))
    assert (decode_audio(file, RATE, "it") * 32768).tolist() == [200, 0, 7]


def test_a_higher_rate_is_filtered_and_not_only_thinned_out():
    """A tone below half the new rate stays; one above it vanishes, where thinning out would fold it down."""
    time = np.arange(4 * RATE) / (2 * RATE)
    low, high = (np.round(16_000 * np.sin(2 * np.pi * f * time)) for f in (440, 7000))
    kept = decode_audio(wav(low, 2 * RATE), RATE, "it")
    assert len(kept) == 2 * RATE
    inner = slice(100, -100)
    assert kept[inner] == pytest.approx((low / 32768)[::2][inner], abs=1e-3)
    assert np.abs(decode_audio(wav(high, 2 * RATE), RATE, "it")[inner]).max() < 1e-3
    assert np.abs((high / 32768)[::2]).max() > 0.4


def encoded(x: np.ndarray, file_format: str, subtype: str, rate: int = RATE) -> bytes:
    """A file of amplitudes [L], as libsndfile writes it."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, x, rate, format=file_format, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("file_format", "subtype"),
    [("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "DOUBLE")],
)
def test_lossless_formats_are_read_exactly(file_format: str, subtype: str):
    x = recording(0, 3000) / 32768
    assert decode_audio(encoded(x, file_format, subtype), RATE, "it").tolist() == x.tolist()


def test_vorbis_is_read_approximately():
    x = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    found = decode_audio(encoded(x, "OGG", "VORBIS"), RATE, "it")
    assert len(found) == len(x)
    assert np.abs(found - x).mean() < 0.02


def test_a_path_s_ending_does_not_matter(tmp_path: Path):
    file = tmp_path / "recording.raw"
    file.write_bytes(wav(np.array([1, 2, 3])))
    assert (decode_audio(file, RATE, "it") * 32768).tolist() == [1, 2, 3]


FLAC = encoded(recording(0, 20_000) / 32768, "FLAC", "PCM_16")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"OggS" + bytes(100), r"it is not an audio file that can be decoded \(.*\); convert it to WAV or FLAC, or"),
        (b"", r"it is not an audio file that can be decoded \(Format not recognised\)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), r"it is not an audio file that can be decoded"),
        (wav(np.zeros(5))[:30], r"it is not an audio file that can be decoded"),
        (FLAC[: len(FLAC) // 2], r"it is not an audio file that can be decoded \(.*flac.*\)"),
        (encoded(np.array([0.0, np.nan]), "WAV", "FLOAT"), r"it has samples that are NaN or infinite"),
        (wav(np.zeros(0)), r"it has no samples; remove it"),
        (wav(np.zeros(5), rate=4000), r"recorded at 4000 Hz, below sample_rate 8000; lower sample_rate"),
    ],
    # Not the bytes, which hold the time of their making.
    ids=["ogg", "empty", "png", "header", "half", "nan", "silent", "rate"],
)
def test_unfit_files_are_one_line_that_names_them(file: bytes, message: str):
    with pytest.raises(UserError, match=message) as error:
        decode_audio(file, RATE, "it")
    assert "\n" not in str(error.value)


def test_an_absent_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"it is not an audio file .*No such file"):
        decode_audio(tmp_path / "absent.wav", RATE, "it")


# ------------------------------------------------------------------ windows


def test_test_windows_hold_each_sample_once_within_its_recording(spoken: Path):
    data = audio(spoken)
    assert (data.shape, data.num_levels, data.modality, data.sample_rate) == ((1, 10), 256, "audio", RATE)
    first, second = levels("test", 0), levels("test", 1)
    expected = [first[:10], first[10:20], second[:10], second[10:20], second[20:30]]
    assert data.split("test").x[:, 0].tolist() == expected
    assert data.split("test").label.tolist() == [0, 0, 1, 1, 1]
    assert [row for batch in data.test_dataloader() for row in batch.x[:, 0].tolist()] == expected
    assert data.left_out["test"] == 5 + 9


def test_recordings_are_carved_whole_by_a_fixed_seed(spoken: Path):
    data = audio(spoken)
    train, val = (set(data.split(name).label.tolist()) for name in ("train", "val"))
    assert not train & val
    assert train | val == set(range(10)) - {2}, "the recording of seven samples has no window"
    assert audio(spoken, loader=Loader(seed=9)).split("val").label.tolist() == data.split("val").label.tolist()
    others = [Splits(num_val=3, seed=seed) for seed in range(1, 4)]
    assert any(set(audio(spoken, splits=other).split("val").label.tolist()) != val for other in others)


def test_training_windows_lie_within_the_recording_of_their_label(spoken: Path):
    data = audio(spoken)
    loader, seen = data.train_dataloader(), set()
    for _ in range(30):
        for x, label, _ in loader:
            for row, number in zip(x[:, 0].tolist(), label.tolist(), strict=True):
                whole = levels("train", number)
                begins = [i for i in range(len(whole) - 9) if whole[i : i + 10] == row]
                assert len(begins) == 1
                seen.add((number, begins[0]))
    numbers = {number for number, _ in seen}
    assert numbers == set(data.split("train").label.tolist())
    possible = sum(SIZES["train"][number] - 9 for number in numbers)
    assert len(seen) > 0.8 * possible, "windows begin nearly anywhere, not only at every tenth sample"


def test_padded_recordings_are_one_example_each(spoken: Path):
    data = audio(spoken, pad=True, length=30)
    x = data.split("test").x[:, 0].tolist()
    assert x == [(levels("test", i) + [ZERO_LEVEL] * 30)[:30] for i in range(3)]
    assert data.split("test").label.tolist() == [0, 1, 2]
    assert (data.name, audio(spoken).name) == ("spoken_padded", "spoken")
    assert (data.silence["test"], data.left_out["test"]) == (10 + 21, 5)
    batch = next(iter(data.train_dataloader()))
    assert batch.x[0, 0].tolist() == (levels("train", int(batch.label[0])) + [ZERO_LEVEL] * 30)[:30]


def test_decoded_levels_are_the_recording_but_for_rounding(spoken: Path):
    data = audio(spoken)
    waveform = data.decode(data.split("test").x[2])
    original = recording(301, 35)[:10] / 32768
    assert (waveform.dtype, waveform.shape) == (torch.float32, (10,))
    assert (np.abs(waveform.numpy() - original) <= 0.0224 * np.abs(original) + 9e-5).all()


def test_fingerprints_tell_apart_recordings_rates_and_padding(spoken: Path, tmp_path: Path):
    base = {name: audio(spoken).fingerprint(name) for name in ("train", "val", "test")}
    assert {name: audio(spoken, loader=Loader(seed=4)).fingerprint(name) for name in base} == base
    files = {
        part: [recording(100 * len(sizes) + i, n) for i, n in enumerate(sizes)] for part, sizes in SIZES.items()
    }
    files["test"][1][29] = -files["test"][1][29]
    test, rate = store(tmp_path / "test", {p: [wav(x) for x in xs] for p, xs in files.items()}), audio(spoken)
    found = {name: audio(test).fingerprint(name) for name in base}
    assert {name for name in base if found[name] != base[name]} == {"test"}
    rate.sample_rate = 4000
    rate.read_pieces = lambda: audio(spoken).read_pieces()  # type: ignore[method-assign]
    assert not {rate.fingerprint(name) for name in base} & set(base.values())
    whole = audio(spoken, pad=True)
    assert not {whole.fingerprint(name) for name in base} & set(base.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": AudioColumns("sound")}, r"no column 'sound', it has audio, label, speaker.*; set columns\.audio"),
        ({"columns": AudioColumns("label")}, r"column 'label' .* holds no recordings"),
        ({"columns": AudioColumns(label="speaker")}, r"column 'speaker' .* holds no integers.*; set columns\.label"),
        ({"splits": Splits(train="trian")}, r"no split 'trian'.*did you mean 'train'"),
        ({"sample_rate": 16_000}, r"recording 0 of split 'train' .* recorded at 8000 Hz, below sample_rate 16000"),
        ({"sample_rate": 0}, r"sample_rate .* is 0"),
        ({"length": 36}, r"split 'test' .* no window of length 36: its longest piece has 35 samples"),
        ({"splits": Splits()}, r"split 'val' .* would be empty: splits\.num_val is 0"),
    ],
)
def test_what_does_not_fit_is_told(spoken: Path, options: dict, message: str):
    with pytest.raises(UserError, match=message) as error:
        audio(spoken, **options).setup()
    assert "\n" not in str(error.value)


def test_without_a_column_of_labels_there_are_none(spoken: Path):
    assert audio(spoken, columns=AudioColumns()).split("test").label is None


def test_shelf_spoken_digits(shelf: Path):
    """300 recordings of the official test split, read as all three splits, so that nothing else is decoded."""
    options = {"columns": AudioColumns(label="label"), "splits": Splits(train="test", val="test", test="test")}
    data = HubAudio("fsdd", "spoken_digits", RATE, 1024, hub=HubSource(root=str(shelf)), **options)
    assert data.split("test").x.shape == (860, 1, 1024)
    assert data.left_out["test"] == 1_034_030 - 860 * 1024
    assert sorted(set(data.split("test").label.tolist())) == list(range(10))
