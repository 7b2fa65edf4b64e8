"""The command ``encode``: codes, labels and note of a first stage, and a second stage trained on them."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest
import torch
from halves import train, train_and_encode

import lit_gen
from lit_gen.checkpoints import load_state, read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.process import run_command
from lit_gen.contract import EncodesToIntegers
from lit_gen.data import Codes, Digits, KnownEntropy
from lit_gen.encode.__main__ import main as encode
from lit_gen.likelihood import joint_nll
from lit_gen.noise import Noise
from lit_gen.records.record import read_record

SOURCE = ["--data=KnownEntropy", "--data.shape=[1,2,2]", "--data.num_levels=4", "--data.splits.num_train=500"]


def main(args: list[str]) -> None:
    """The command, for checkpoints whose configuration names a class of the tests."""
    encode([*args, "--allow=halves"])



@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the toy on the digits; not to be changed."""
    root = tmp_path_factory.mktemp("digits")
    train_and_encode(root, "halves.Halves", "--data=Digits")
    return root


def error_line(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run_command(main, args) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    return line


def test_codes_labels_and_order_of_every_split(digits: Path) -> None:
    codes, data = Codes(str(digits / "codes")), Digits()
    assert (codes.name, codes.shape, codes.num_levels, codes.dimension) == ("digits_codes", (1, 8, 8), 9, "code")
    for name in ("train", "val", "test"):
        split, encoded = codes.split(name), data.split(name)
        assert torch.equal(split.x, encoded.x // 2), name
        assert split.label is not None
        assert torch.equal(split.label, encoded.label), name


def test_note_says_what_the_codes_are(digits: Path) -> None:
    checkpoint = digits / "halves.Halves" / "checkpoints" / "best.ckpt"
    note = json.loads((digits / "codes" / "codes.json").read_text())
    sizes = {"train": 1000, "val": 350, "test": 447}
    data = Digits()
    for name, size in sizes.items():
        split = note["splits"].pop(name)
        file = digits / "codes" / f"{name}.safetensors"
        assert split == {
            "examples": size,
            "data_fingerprint": data.fingerprint(name),
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
    assert note == {
        "format": 1,
        "checkpoint": "best.ckpt",
        "checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "model": "halves.Halves",
        "weights": "ema",
        "precision": "32-true",
        "seed": 0,
        "data": "digits",
        "shape": [1, 8, 8],
        "num_values": 9,
        "splits": {},
        "version": lit_gen.__version__,
    }
    assert {file.name for file in digits.iterdir()} == {"codes", "halves.Halves", "leaderboard.html"}


def test_nats_of_two_stages_add_up(tmp_path: Path) -> None:
    """A prior trained on codes, joined with the decoder, is a distribution over all 256 states of the source."""
    codes = train_and_encode(tmp_path, "halves.Halves", *SOURCE)
    checkpoint = train(tmp_path, "MADE", "--data=Codes", f"--data.path={codes}")
    record = read_record(tmp_path / "MADE" / "record.json")
    assert record.data == "known_entropy_1x2x2_4_codes"
    assert {score.label for score in record.scores if score.name == "bpd"} == {"bits/code"}

    first, second = (
        read_checkpoint(path) for path in (tmp_path / "halves.Halves/checkpoints/best.ckpt", checkpoint)
    )
    alone = ["--trainer.devices=1", "--allow=halves"]
    encoder, prior = (run_from_checkpoint(content, alone).model for content in (first, second))
    load_state(prior, second)
    assert isinstance(encoder, EncodesToIntegers)
    x = KnownEntropy((1, 2, 2), 4).enumerate()
    noise = Noise(0, range(len(x)))
    z = encoder.encode_integers(x, noise)
    of_codes = prior.nll(z.to(torch.uint8), noise)
    assert of_codes is not None
    joint = joint_nll(of_codes, encoder.decoder_nll(x, z))
    assert torch.allclose(joint.nats, of_codes.nats + 4 * math.log(2))
    assert float((-joint.nats.detach().double()).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_noise_of_a_stochastic_encoder_is_named_by_the_seed(tmp_path: Path) -> None:
    codes = train_and_encode(tmp_path, "halves.Noisy", *SOURCE)
    checkpoint = str(tmp_path / "halves.Noisy/checkpoints/best.ckpt")
    main([checkpoint, "--out", str(tmp_path / "smaller batches"), "--data.loader.eval_batch_size=33"])
    main([checkpoint, "--out", str(tmp_path / "other"), "--seed", "1"])
    same, other = Codes(str(tmp_path / "smaller batches")), Codes(str(tmp_path / "other"))
    for name in ("train", "val", "test"):
        assert torch.equal(Codes(str(codes)).split(name).x, same.split(name).x), name
        assert not torch.equal(Codes(str(codes)).split(name).x, other.split(name).x), name


def test_some_splits(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(digits / "halves.Halves/checkpoints/best.ckpt")
    main([checkpoint, "--out", str(tmp_path / "codes"), "--split", "test", "train"])
    assert "447 test" in capsys.readouterr().out
    assert {file.name for file in (tmp_path / "codes").iterdir()} == {
        *("codes.json", "train.safetensors", "test.safetensors")
    }
    with pytest.raises(lit_gen.errors.UserError, match="no codes of val"):
        Codes(str(tmp_path / "codes"))


# ------------------------------------------------------------------ errors


def test_model_without_the_interface(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = train(tmp_path, "MADE", *SOURCE)
    line = error_line([str(checkpoint), "--out", str(tmp_path / "codes")], capsys)
    assert "MADE does not implement lit_gen.contract.EncodesToIntegers" in line
    assert "encode_integers" in line
    assert not (tmp_path / "codes").exists()


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("TooMany", "num_code_values is 512"),
        ("Continuous", "returned torch.float32"),
        ("Outside", "returned values 1..2, outside 0..1"),
    ],
)
def test_codes_that_are_not_as_declared(
    model: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``Outside`` fails in the second split: what was written of the first is removed."""
    checkpoint = train(tmp_path, f"halves.{model}", *SOURCE, "--data.splits.num_val=100")
    assert named in error_line([str(checkpoint), "--out", str(tmp_path / "new" / "codes")], capsys)
    assert list((tmp_path / "new").glob("*")) == []


def test_options(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(digits / "halves.Halves/checkpoints/best.ckpt")
    assert "which checkpoint?" in error_line([], capsys)
    assert "--out" in error_line([checkpoint], capsys)
    assert f"--out: {tmp_path} exists already" in error_line([checkpoint, "--out", str(tmp_path)], capsys)
    new = str(tmp_path / "new")
    assert "'tset'" in error_line([checkpoint, "--out", new, "--split", "tset"], capsys)
    assert "did you mean 'split'?" in error_line([checkpoint, "--out", new, "--splt", "test"], capsys)
    (tmp_path / "file").write_text("")
    assert "cannot write" in error_line([checkpoint, "--out", str(tmp_path / "file" / "codes")], capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"file"}
