"""Scores of several samplers, each of which keeps the options of all."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import SMALL
from test_samplings import DIFFUSION, TINY

from lit_gen import evaluate, fit
from lit_gen.__main__ import main
from lit_gen.cli.process import run_command
from lit_gen.records.record import read_record


def test_scores_of_several_samplers_are_taken_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit.main([f"--config={DIFFUSION}", f"--trainer.default_root_dir={tmp_path}", "--run_name=run", *SMALL, *TINY])
    given = ("--sampler", "ddim", "heun", "--steps", "2", "3")
    evaluate.main([str(tmp_path / "run/checkpoints/best.ckpt"), *given])
    record = read_record(tmp_path / "run" / "record.json")
    several = [s for s in record.scores if s.protocol.sampler in ("ddim", "heun")]
    assert len(several) == 8  # two samplers, two numbers of steps, two metrics
    assert {score.arguments for score in several} == {given}
    capsys.readouterr()
    assert run_command(main, ["verify", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"all {len(record.scores)} scores are identical"
