"""Text and sound through a whole run: scored by a distance that fits, shown as what they are, and named rightly."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import RECIPES
from sequence_runs import SAMPLES, audio_options, fit_audio, fit_text, text_options
from torch import Tensor

from lit_gen import evaluate, fit
from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.process import run_command
from lit_gen.families import Transformer
from lit_gen.leaderboard.__main__ import main as leaderboard
from lit_gen.media.recordings import write_wavs
from lit_gen.metrics import JensenShannon, LogMel, Moments, NGrams, frechet_distance, jensen_shannon
from lit_gen.noise import Noise
from lit_gen.records.record import Record, read_record
from lit_gen.runs.record_files import final_samples
from lit_gen.runs.run import Run
from lit_gen.runs.weights import load_weights


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run on each, below one folder; not to be written into."""
    root = tmp_path_factory.mktemp("finished")
    return {"text": fit_text(root), "audio": fit_audio(root)}


def record_of(run: Path) -> Record:
    return read_record(run / "record.json")


def loaded(folder: Path) -> Run:
    """The model with its averaged weights, and the data."""
    content = read_checkpoint(folder / "checkpoints" / "best.ckpt")
    run = run_from_checkpoint(content, [])
    load_weights(run, content, "ema")
    run.model.eval()
    return run


# ------------------------------------------------------------------ scores


def test_text_is_scored_by_the_n_grams_of_its_samples(finished: dict[str, Path]) -> None:
    run, record = loaded(finished["text"]), record_of(finished["text"])
    score = {s.name: s for s in record.scores}["jsd_2grams"]
    extractor = NGrams(2, 5)

    def counts(x: Tensor) -> Tensor:
        statistic = JensenShannon(extractor.num_features)
        statistic.update(extractor(x).features, torch.arange(len(x)))
        return statistic.summary()["count"]

    real = counts(run.data.split("test").x)
    assert score.value == pytest.approx(jensen_shannon(counts(run.model.sample(40)), real), rel=1e-9)
    assert {s.name for s in record.scores} == {
        "bpd", "nll", "jsd_2grams", "precision_2grams", "recall_2grams"
    }, "there is no Inception Score"
    shares = {s.name: s.value for s in record.scores if s.unit == "" and s.higher_is_better}
    sampled = counts(run.model.sample(40))
    assert shares["precision_2grams"] == pytest.approx(float(sampled[real > 0].sum() / sampled.sum()))
    assert shares["recall_2grams"] == pytest.approx(float(real[sampled > 0].sum() / real.sum()))
    assert (score.protocol.extractor, score.protocol.extractor_sha256) == ("2grams", extractor.sha256)
    (baseline,) = (b for b in record.baselines if b.name == "jsd_2grams")
    assert baseline.protocol.sampler == "real train text"
    assert 0 < baseline.value < 0.2 * score.value


def test_sound_is_scored_by_the_mel_bands_of_its_samples(finished: dict[str, Path]) -> None:
    run, record = loaded(finished["audio"]), record_of(finished["audio"])
    score = {s.name: s for s in record.scores}["fd_logmel"]
    extractor = LogMel(8000, 6, 32, 16)
    fake, real = (
        Moments.of(extractor(x).features) for x in (run.model.sample(40), run.data.split("test").x)
    )
    assert score.value == pytest.approx(frechet_distance(fake, real), rel=1e-5)
    assert {s.name for s in record.scores} == {"bpd", "nll", "fd_logmel", "kid_logmel"}
    (baseline,) = (b for b in record.baselines if b.name == "fd_logmel")
    assert baseline.protocol.sampler == "real train audio"
    assert 0 < baseline.value < 0.2 * score.value


@pytest.mark.parametrize(("modality", "name"), [("text", "val/jsd_2grams_20"), ("audio", "val/fd_logmel_20")])
def test_the_distance_is_taken_while_training_goes_on(modality: str, name: str, finished: dict[str, Path]) -> None:
    with (finished[modality] / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = [float(row[name]) for row in rows if row.get(name)]
    assert values
    assert all(0 < value < math.inf for value in values)
    assert not any(column.startswith("val/is") for column in rows[0])


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_evaluate_finds_the_same_scores(modality: str, finished: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(finished[modality], tmp_path / modality)
    evaluate.main([str(run / "checkpoints" / "best.ckpt")])
    before, after = record_of(finished[modality]), record_of(run)
    assert {(s.protocol.hash, s.value) for s in after.scores} == {(s.protocol.hash, s.value) for s in before.scores}
    assert (after.files, after.dimension) == (before.files, before.dimension)


# ------------------------------------------------------------------ samples


def test_final_samples_of_text_are_the_scored_models(finished: dict[str, Path]) -> None:
    run, record = loaded(finished["text"]), record_of(finished["text"])
    assert record.files["sample_text"] == "samples/final.txt"
    assert "sample_grid" not in record.files
    shown = (finished["text"] / "samples" / "final.txt").read_text(encoding="utf-8")
    x = run.model.sample(3)
    assert shown == "\n".join(f"=== sample {i} ===\n{run.data.decode(row)}\n" for i, row in enumerate(x))


def test_final_samples_of_sound_are_a_file_each(finished: dict[str, Path], tmp_path: Path) -> None:
    run, record = loaded(finished["audio"]), record_of(finished["audio"])
    roles = {role: file for role, file in record.files.items() if role.startswith("sample")}
    assert roles == {f"sample_audio_{i}": f"samples/final-{i}.wav" for i in range(3)}
    for i, file in enumerate(write_wavs(run.model.sample(3), run.data, tmp_path / "own")):
        assert file.read_bytes() == (finished["audio"] / roles[f"sample_audio_{i}"]).read_bytes()


def test_samples_of_an_earlier_record_do_not_stay(finished: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(finished["audio"], tmp_path / "audio")
    (run / "record.json").unlink()
    evaluate.main([str(run / "checkpoints" / "best.ckpt"), "--grid.num_samples=2"])
    assert sorted(file.name for file in (run / "samples").glob("final*")) == ["final-0.wav", "final-1.wav"]
    assert "sample_audio_2" not in record_of(run).files


def test_recordings_are_found_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for name in (*(f"final-{i}.wav" for i in range(12)), "final-samples-0.wav", "final-3.txt"):
        (tmp_path / "samples" / name).touch()
    found = final_samples(tmp_path)
    assert list(found) == [f"sample_audio_{i}" for i in range(12)]
    assert [file.name for file in found.values()] == [f"final-{i}.wav" for i in range(12)]


def test_final_samples_are_drawn_in_the_scores_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bool] = []
    generate = Transformer.generate

    def noting(self: Transformer, noise: Noise, label: Tensor | None = None) -> Tensor:
        drawn.append(torch.is_autocast_enabled("cpu"))
        return generate(self, noise, label)

    monkeypatch.setattr(Transformer, "generate", noting)
    fit_text(tmp_path, "--trainer.precision=bf16-mixed", "--quality.extractor=null")
    assert len(drawn) >= 3
    assert all(drawn)


# ------------------------------------------------------------------ the leaderboard


def test_bits_are_named_by_what_they_are_of(finished: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert {name: record_of(run).dimension for name, run in finished.items()} == {
        "text": "character", "audio": "sample"
    }  # fmt: skip
    capsys.readouterr()
    assert leaderboard([str(finished["text"].parent)]) == 0
    said = capsys.readouterr().out
    text, audio = said.index("my_text (1 runs)"), said.index("tones (1 runs)")
    assert text < audio
    for unit in ("bits/character", "bits/sample"):
        assert said.count(f"{unit} [split=test]") == said.count(f"{unit} [split=train]") == said.count(unit) / 2 == 1
    assert said.index("bits/character") < audio < said.index("bits/sample")
    assert "bits/dim" not in said
    assert "FID" not in said
    assert text < said.index("JSD-2grams") < audio < said.index("FD-logmel")


def test_the_page_of_a_run_plays_and_prints(finished: dict[str, Path]) -> None:
    page = (finished["text"].parent / "leaderboard.html").read_text(encoding="utf-8")
    assert page.count('<audio src="data:audio/wav;base64,UklGR') == 3
    assert page.count("=== sample 2 ===") == 1


def test_the_summary_names_the_unit_and_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit_text(tmp_path, "--data.init_args.unit=bytes", "--quality.extractor.init_args.num_symbols=256")
    said = capsys.readouterr().out
    assert "bits/byte" in said
    assert f"samples      {run / 'samples' / 'final.txt'}\n" in said
    assert record_of(run).dimension == "byte"


# ------------------------------------------------------------------ what is refused


def refusal(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line in which ``fit`` refuses."""
    capsys.readouterr()
    assert run_command(fit.main, args) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    (line,) = [line for line in error.splitlines() if line.startswith("error: ")]
    return line


BANK = "--quality.extractor.init_args"
REFUSED: dict[str, tuple[Any, list[str], str]] = {
    "a net for images": (
        text_options, ["--quality.extractor=MnistCNN"],
        "MnistCNN is for images, and the data 'my_text' are text; use NGrams, or null",
    ),
    "n-grams of sound": (
        audio_options, ["--quality.extractor=NGrams"], "NGrams is for text, and the data 'tones' are audio; use LogMel,"
    ),
    "too few symbols": (
        text_options, [f"{BANK}.num_symbols=4"], "quality.extractor: NGrams: num_symbols is 4, and the data have 5; set"
    ),
    "too many n-grams": (
        text_options, [f"{BANK}.n=10"], "5 symbols have 9,765,625 different 10-grams, and 4,194,304 can be counted;"
    ),
    "longer than a window": (text_options, [f"{BANK}.n=3", "--data.init_args.length=2"], "n is 3, and windows have 2"),
    "another rate": (audio_options, [f"{BANK}.sample_rate=16000"], "LogMel is for 16000 Hz, and the data have 8000 Hz"),
    "a long frame": (audio_options, [f"{BANK}.frame=64"], f"{SAMPLES} samples are shorter than its frame of 64"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_distance_that_does_not_fit_is_refused_before_anything_starts(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, more, said = REFUSED[case]
    assert said in refusal(options(tmp_path, *more), capsys)
    assert not (tmp_path / "text").exists()
    assert not (tmp_path / "audio").exists()


def test_images_are_told_their_own_distances(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [f"--config={RECIPES['vae']}", f"--trainer.default_root_dir={tmp_path}", "--quality.extractor=LogMel"]
    said = "LogMel is for audio, and the data 'digits' are images; use CLIP, DINOv2,"
    said += " EfficientNetLite0, Inception or MnistCNN, or null for no distance"
    assert said in refusal(options, capsys)


def test_evaluate_refuses_too(finished: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = finished["audio"] / "checkpoints" / "best.ckpt"
    assert run_command(evaluate.main, [str(checkpoint), "--quality.extractor=MnistCNN"]) == 2
    assert "MnistCNN is for images, and the data 'tones' are audio; use LogMel" in capsys.readouterr().err
