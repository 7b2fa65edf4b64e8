"""Samples of text and sound by the command: what is written and printed, what is kept, and what is refused."""

from __future__ import annotations

import re
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from sequence_runs import LENGTH, LETTERS, SAMPLES, fit_audio, fit_text
from torch import Tensor

from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.process import run_command
from lit_gen.errors import UserError
from lit_gen.families import MADE, VAE, Transformer
from lit_gen.media.recordings import write_wav
from lit_gen.noise import Noise
from lit_gen.runs.run import Run
from lit_gen.runs.weights import load_weights
from lit_gen.sample import draw
from lit_gen.sample.__main__ import main
from lit_gen.sample.completion import prompted
from lit_gen.sample.options import Options, parse


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each; not to be written beside."""
    root, without = tmp_path_factory.mktemp("runs"), "--quality.extractor=null"
    return {
        "text": fit_text(root, without) / "checkpoints" / "best.ckpt",
        "audio": fit_audio(root, without) / "checkpoints" / "best.ckpt",
    }


@pytest.fixture(scope="module")
def built(runs: dict[str, Path]) -> dict[str, Run]:
    """The models with their averaged weights, and the data."""
    found = {}
    for name, path in runs.items():
        content = read_checkpoint(path)
        found[name] = run_from_checkpoint(content, [])
        load_weights(found[name], content, "ema")
        found[name].model.eval()
    return found


def sections(file: Path) -> dict[str, str]:
    """What a file of text holds, by the lines that name it."""
    parts = file.read_text(encoding="utf-8").split("=== ")[1:]
    named = (part.split(" ===\n", 1) for part in parts)
    return {name: text.removesuffix("\n").removesuffix("\n") for name, text in named}


def pcm(file: Path) -> list[int]:
    with wave.open(str(file)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) == (1, 2, 8000)
        return np.frombuffer(opened.readframes(10**6), "<i2").tolist()  # type: ignore[no-any-return]


def decoded(run: Run, x: Tensor) -> list[str]:
    return [run.data.decode(row) for row in x]


def strip(texts: list[str]) -> list[str]:
    """As ``sections`` finds them, which cannot tell a text's last line end from the file's."""
    return [text.removesuffix("\n") for text in texts]


# ------------------------------------------------------------------ samples


def test_samples_of_text_are_written_and_the_first_is_printed(
    runs: dict[str, Path], built: dict[str, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "a.txt"
    main([str(runs["text"]), f"--out={file}", "--n=4", "--seed=3"])
    expected = decoded(built["text"], built["text"].model.sample(4, seed=3))
    assert list(sections(file)) == [f"sample {i}" for i in range(4)]
    assert strip(list(sections(file).values())) == strip(expected)
    assert capsys.readouterr().out.endswith(f"{expected[0]}\ntext         {file}\n")


def test_samples_of_sound_are_a_file_each(
    runs: dict[str, Path], built: dict[str, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(runs["audio"]), f"--out={tmp_path / 'x.wav'}", "--n=3", "--seed=3"])
    assert capsys.readouterr().out.endswith(f"audio        {tmp_path / 'x-0.wav'} ... x-2.wav\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x-0.wav", "x-1.wav", "x-2.wav"]
    for i, row in enumerate(built["audio"].model.sample(3, seed=3)):
        own = write_wav(built["audio"].data.decode(row), 8000, tmp_path / "own.wav")
        assert (tmp_path / f"x-{i}.wav").read_bytes() == own.read_bytes()


def test_without_a_place_they_lie_beside_the_run_s_own(runs: dict[str, Path], tmp_path: Path) -> None:
    for name in ("text", "audio"):
        run = shutil.copytree(runs[name].parent.parent, tmp_path / name)
        before = set((run / "samples").iterdir())
        main([str(run / "checkpoints/best.ckpt"), "--temperature=0.5"])
        found = {file.name for file in set((run / "samples").iterdir()) - before}
        stem = "best-samples-temperature0.5"
        assert found == ({f"{stem}.txt"} if name == "text" else {f"{stem}-{i}.wav" for i in range(8)})


# ------------------------------------------------------------------ what follows a prompt


def test_samples_begin_with_the_prompt_and_differ_after_it(
    runs: dict[str, Path], built: dict[str, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, prompt = tmp_path / "a.txt", "éa\nb"
    main([str(runs["text"]), f"--out={file}", f"--prompt={prompt}", "--n=20", "--seed=2"])
    texts = list(sections(file).values())
    assert all(text.startswith(prompt) for text in texts)
    assert len({text[len(prompt) :] for text in texts}) > 15
    assert capsys.readouterr().out.endswith(f"{texts[0]}\ntext         {file}\n")
    model = built["text"].model
    begun = torch.zeros(20, LENGTH, dtype=torch.uint8)
    begun[:, :4] = built["text"].data.encode(prompt)
    expected = decoded(built["text"], model.complete(begun, 4, Noise(2, range(20))))
    assert strip(texts) == strip(expected)
    assert {letter for text in texts for letter in text} <= set(LETTERS)


def test_a_sample_after_a_prompt_is_the_same_in_any_block() -> None:
    torch.manual_seed(0)
    model = Transformer((LENGTH,), 5).eval()
    prompt = torch.tensor([1, 4], dtype=torch.uint8)
    whole = prompted(model, prompt, 7, Options(seed=1))
    assert torch.equal(prompted(model, prompt, 7, Options(seed=1), block=3), whole)
    assert torch.equal(prompted(model, prompt, 4, Options(seed=1)), whole[:4])
    assert len(whole.unique(dim=0)) == 7


def test_another_question_is_another_file() -> None:
    long = "ROMEO:\nO, that I were a glove"
    asked = [
        ["--prompt", "O that"], ["--prompt", "O, that"], ["--prompt", long], ["--prompt", f"{long}!"], ["--prompt=: !"],
        ["--n=2"], ["--complete", "3"], ["--complete", "3", "14"], ["--complete", "3", "--given=0.25"],
        ["--complete", "3", "--k=2"], ["--complete", "3", "--split=val"], ["--interpolate", "3", "14"],
        ["--interpolate", "3", "14", "--steps=5"], ["--complete", *map(str, range(20))],
        ["--complete", *map(str, range(21))],
    ]  # fmt: skip
    names = [parse(options)[0].name for options in asked]
    assert names[0] == "prompted-O_that"
    assert names[2].startswith("prompted-ROMEO_O_that_")
    assert names[5:8] == ["samples", "completions-3", "completions-3-14"]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w.-]{1,60}", name) for name in names)


# ------------------------------------------------------------------ completions


def test_completions_of_text_keep_what_is_given(runs: dict[str, Path], built: dict[str, Run], tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    main([str(runs["text"]), f"--out={file}", "--complete", "3", "1", "--given=0.25", "--k=6", "--split=val"])
    found = sections(file)
    assert list(found) == [
        f"val {row} {what}" for row in (3, 1) for what in ("real", "given", *(f"completion {i}" for i in range(6)))
    ]
    real = built["text"].data.split("val").x
    for row in (3, 1):
        text = built["text"].data.decode(real[row])
        assert strip([found[f"val {row} real"], found[f"val {row} given"]]) == strip([text, text[:3]])
        done = [found[f"val {row} completion {i}"] for i in range(6)]
        assert all(one.startswith(text[:3]) for one in done)
        assert len(set(done)) > 3


def test_completions_of_sound_are_files_by_their_names(
    runs: dict[str, Path], built: dict[str, Run], tmp_path: Path
) -> None:
    main([str(runs["audio"]), f"--out={tmp_path / 'x.wav'}", "--complete", "5", "--given=0.5", "--k=3"])
    names = ["x-test-5-real.wav", "x-test-5-given.wav", *(f"x-test-5-completion-{i}.wav" for i in range(3))]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)
    real, given, *done = (pcm(tmp_path / name) for name in names)
    own = write_wav(
        built["audio"].data.decode(built["audio"].data.split("test").x[5]), 8000, tmp_path / "own.wav"
    )
    assert real == pcm(own)
    half = SAMPLES // 2
    assert given == real[:half]
    for one in done:
        assert one[:half] == given
        assert len(one) == SAMPLES
    assert len({tuple(one[half:]) for one in done}) == 3


def test_nothing_given_leaves_no_empty_recording(runs: dict[str, Path], tmp_path: Path) -> None:
    main([str(runs["audio"]), f"--out={tmp_path / 'x.wav'}", "--complete", "5", "--given=0", "--k=1"])
    assert sorted(f.name for f in tmp_path.iterdir()) == ["x-test-5-completion-0.wav", "x-test-5-real.wav"]


# ------------------------------------------------------------------ what is refused


def refusal(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line in which the command refuses."""
    assert run_command(main, args) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    (line,) = [line for line in error.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("text", "--interpolate 1 2", "--interpolate is for images, and the data 'my_text' are text; leave it out"),
        ("audio", "--nearest", "--nearest is for images, and the data 'tones' are audio; leave it out"),
        ("audio", "--prompt=a", "--prompt is for text, and the data 'tones' are audio; leave it out"),
        ("text", "--out=OUT.png", "a.png does not end in .txt, the format of text"),
        ("audio", "--out=OUT.txt", "a.txt does not end in .wav, the format of audio"),
        ("text", "--prompt=abcd", "--prompt: the text of data set 'my_text' has characters that the training text"),
        ("text", "--prompt=abcabcabcabc", "--prompt has 12 characters, but a window has 12; give at most 11"),
        ("text", "--complete 0 16", "--complete 0 16: the test split has windows 0..15"),
        ("text", "--label=1", "Transformer cannot be asked for label 1: it was trained without labels"),
    ],
)
def test_what_does_not_suit_the_data_is_one_line(
    name: str, options: str, said: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(draw, "load_weights", lambda *_: pytest.fail("it could be told earlier"))
    given = options.replace("OUT", str(tmp_path / "new" / "a")).split()
    assert said in refusal([str(runs[name]), *given], capsys)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--prompt="], "--prompt is empty; give a beginning, or leave it out"),
        (["--prompt=a", "--complete", "1"], "--complete and --prompt cannot be combined"),
        (["--prompt=a", "--given=0.5"], "--given applies to --complete only"),
        (["--prompt=a", "--split=val"], "--split applies to --interpolate or --nearest or --complete"),
        (["--promt=a"], "unknown option --promt; did you mean 'prompt'?"),
        (["--out=a.mp3"], "a.mp3 does not end in .png (images), .txt (text) or .wav (audio)"),
    ],
)
def test_options_are_refused_before_the_checkpoint_is_read(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(["no.ckpt", *options], capsys)


class _Backwards(MADE):
    """Draws the last dimension first."""

    def first(self, count: int) -> Tensor:
        return super().first(count).flip(0)


def test_a_prompt_needs_a_model_that_goes_from_the_beginning() -> None:
    torch.manual_seed(0)
    with pytest.raises(UserError, match="--prompt: _Backwards does not draw from the beginning to the end"):
        prompted(_Backwards((6,), 3), torch.tensor([1, 2], dtype=torch.uint8), 2, Options())


def test_models_that_cannot_complete_are_told_who_can() -> None:
    with pytest.raises(UserError, match=r"VAE cannot complete examples; these can: .*Transformer"):
        draw.check_model(VAE((6,), 3), Options(prompt="a"), "text")


def test_a_prompt_with_bytes_that_are_not_utf_8_is_rejected() -> None:
    given = b"caf\xe9".decode("utf-8", "surrogateescape")  # as Python passes such an argument on
    with pytest.raises(UserError) as caught:
        parse(["model.ckpt", "--prompt", given])
    assert str(caught.value) == "--prompt: its character 4 is not UTF-8; set the terminal's encoding to UTF-8"
    assert parse(["model.ckpt", "--prompt", "café"])[0].prompt == "café"
