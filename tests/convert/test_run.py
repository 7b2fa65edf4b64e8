"""A published folder becomes a run like any other."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from commands import the_record

from lit_gen import evaluate
from lit_gen.contract import likelihood_module
from lit_gen.convert import __main__ as convert
from lit_gen.data import Digits
from lit_gen.families import DDPM
from lit_gen.families.diffusion import LinearBetas, Sampling
from lit_gen.leaderboard import __main__ as leaderboard
from lit_gen.nets import UNet, UNetNets
from lit_gen.noise import Noise, mix
from lit_gen.sample import __main__ as sample

from .folders import (
    DIGITS,
    STEPS,
    converted,
    refusal,
    theirs,
    write_folder,
)


def by_hand(net: UNet) -> float:
    """Bits a dimension of the test digits, without the commands: two estimates of each, after a pilot run."""
    nets = UNetNets(8, (1, 2), 1, [4], num_groups=4, eps=1e-6)
    model = DDPM((1, 8, 8), 17, nets, LinearBetas(), variance_mix=1.0, sampling=Sampling("ancestral", STEPS))
    model.net.load_state_dict(net.state_dict())
    x = Digits().split("test").x
    seed = mix(0, likelihood_module._PILOT)
    rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[: model.pilot_examples]
    model.eval().prepare_nll(x[rows], seed, None)
    noise = Noise(0, range(len(x)))
    with torch.no_grad():
        found = torch.stack([model.nll(x, noise).nats.double() for _ in range(2)])
    return float(found.mean()) / (64 * math.log(2))


@pytest.mark.parametrize("averaged", [False, True])
def test_it_is_scored_like_any_other(
    averaged: bool, net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = converted(write_folder(tmp_path / "model", theirs(net)), *["--averaged"] * averaged)
    evaluate.main([str(run / "checkpoints" / "pretrained.ckpt"), "--scoring.num_samples=40", "--grid.num_samples=4"])
    record = the_record(run)
    assert (record.family, record.model, record.data) == ("diffusion", "DDPM", "digits")
    bpd = next(score for score in record.scores if score.name == "bpd")
    assert bpd.value == pytest.approx(by_hand(net), rel=1e-5)
    assert {score.name for score in record.scores} == {"bpd", "nll", "fd_mnist_cnn", "is_mnist_cnn"}
    for score in record.scores:
        assert score.protocol.weights == ("ema" if averaged else "raw")
        assert score.protocol.ema_halflife_examples is None
    cost, selection = record.cost, record.selection
    assert cost.parameters == sum(parameter.numel() for parameter in net.parameters())
    assert (cost.examples_seen, cost.train_seconds, cost.peak_memory_bytes, cost.examples_per_second) == (None,) * 4
    assert (selection.rule, selection.checkpoint, selection.step) == ("published weights", "pretrained.ckpt", 0)
    assert (selection.metric, record.git_commit) == (None, None)
    capsys.readouterr()
    leaderboard.main([str(run), "--html", str(tmp_path / "page.html")])
    rows = capsys.readouterr().out.splitlines()
    row, heads = next(r for r in rows if r.startswith("diffusion")), next(r for r in rows if r.startswith("family"))
    for column in ("examples seen", "train time"):
        end = heads.index(column) + len(column)
        assert row[:end].endswith("n/a"), column


def test_copied_checkpoint_is_scored_too(net: UNet, tmp_path: Path) -> None:
    run = converted(write_folder(tmp_path / "model", theirs(net)), "--averaged")
    alone = tmp_path / "elsewhere" / "mine.ckpt"
    alone.parent.mkdir()
    (run / "checkpoints" / "pretrained.ckpt").rename(alone)
    evaluate.main([str(alone), "--quality.extractor=null", "--grid.num_samples=0"])
    record = the_record(alone.parent)
    assert record.scores[0].value == pytest.approx(by_hand(net), rel=1e-5)
    assert (record.cost.examples_seen, record.cost.train_seconds) == (None, None)


def test_raw_weights_that_were_never_published_have_no_score(
    net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = converted(write_folder(tmp_path / "model", theirs(net)), "--averaged")
    path = run / "checkpoints" / "pretrained.ckpt"
    assert "NaN or infinity" in refusal([str(path), "--scoring.weights=raw"], capsys, evaluate.main)
    assert not (run / "record.json").exists()
    # They take no place: the file is about as large as its weights.
    weights = sum(4 * parameter.numel() for parameter in net.parameters())
    assert path.stat().st_size < 1.6 * weights


def test_samples_are_drawn_of_it(net: UNet, tmp_path: Path) -> None:
    run = converted(write_folder(tmp_path / "model", theirs(net)))
    sample.main([str(run / "checkpoints" / "pretrained.ckpt"), "--n", "4", f"--out={tmp_path / 'four.png'}"])
    assert (tmp_path / "four.png").stat().st_size > 0


def test_run_s_folder_is_a_new_one_below_the_root(net: UNet, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", theirs(net))
    for _ in range(2):
        convert.main([str(folder), f"--data={DIGITS}", f"--trainer.default_root_dir={tmp_path / 'runs'}"])
    runs = sorted((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    for run in runs:
        assert run.name.startswith("ddpm-digits-")
        notes = json.loads((run / "training.json").read_text())
        assert notes["published"]["weights"] == "diffusion_pytorch_model.safetensors"
        assert len(notes["published"]["sha256"]) == 64
