"""One checkpoint, several ways of drawing samples from it: in the record, and in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import SMALL, the_record
from conftest import REPO

from lit_gen import evaluate, fit
from lit_gen.cli.process import run_command
from lit_gen.records.record import Record
from lit_gen.records.score import Score
from lit_gen.sample.__main__ import main as sample
from lit_gen.scoring.scorer import Scorer

DIFFUSION = REPO / "configs/recipes/digits/diffusion.yaml"
TINY = [
    "--model.nets.channels=16",
    "--model.nets.num_res_blocks=1",
    "--model.schedule.width=8",
    "--model.sampling.steps=4",
    "--scoring.draws=1",
    "--budget.max_examples=400",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a diffusion model with classes."""
    root = tmp_path_factory.mktemp("diffusion")
    options = [f"--config={DIFFUSION}", f"--trainer.default_root_dir={root}", "--run_name=run", *SMALL, *TINY]
    fit.main([*options, "--model.labels.num_classes=10"])
    return root / "run"


def distances(record: Record) -> dict[tuple[str | None, object, object], Score]:
    """By sampler, steps and guidance."""
    return {
        (s.protocol.sampler, s.protocol.sampler_settings["steps"], s.protocol.sampler_settings.get("guidance")): s
        for s in record.scores
        if s.name == "fd_mnist_cnn"
    }


def test_samplers_and_budgets_are_added_to_the_record(run: Path) -> None:
    before = the_record(run)
    own = distances(before)
    assert list(own) == [("ancestral", 4, None)]
    evaluate.main([str(run / "checkpoints/best.ckpt"), "--sampler", "ddim", "heun", "--steps", "2", "3"])
    after = the_record(run)
    found = distances(after)
    evaluations = {
        key[:2]: score.protocol.sampler_settings["function_evaluations"] for key, score in found.items()
    }
    # Heun's method evaluates twice a step; this model's last step does not end at clean data, so it does so too.
    expected = {("ancestral", 4): 4, ("ddim", 2): 2, ("ddim", 3): 3, ("heun", 2): 4, ("heun", 3): 6}
    assert evaluations == expected
    assert len({score.value for score in found.values()}) == 5
    # What was there stays: the model's own sampler, its likelihood, its cost.
    assert found[("ancestral", 4, None)].value == own[("ancestral", 4, None)].value
    likelihoods = [{s.protocol.hash: s.value for s in r.scores if s.kind} for r in (before, after)]
    assert likelihoods[0] == likelihoods[1]
    assert before.cost == after.cost
    # One question, many answers: they share a column.
    assert len({score.protocol.column_key() for score in found.values()}) == 1
    assert len({score.protocol.column_key(strict=True) for score in found.values()}) == 5


def test_a_kill_loses_the_scores_of_one_sampler_only(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is written as scores come; its end, which never comes here, adds nothing to them."""
    alone = tmp_path / "alone" / "best.ckpt"
    alone.parent.mkdir()
    alone.write_bytes((run / "checkpoints/best.ckpt").read_bytes())
    score, calls = Scorer._score_samples, []

    def killed_at_the_third(self: Scorer, *args: Any) -> None:
        calls.append(self)
        if len(calls) == 3:
            raise KeyboardInterrupt
        score(self, *args)

    monkeypatch.setattr(Scorer, "_score_samples", killed_at_the_third)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        evaluate.main([str(alone), "--sampler", "ddim", "--steps", "1", "2", "3"])
    assert list(distances(the_record(tmp_path))) == [("ddim", 1, None), ("ddim", 2, None)]
    monkeypatch.undo()
    monkeypatch.setenv("WANDB_MODE", "disabled")
    evaluate.main([str(alone), "--sampler", "ddim", "--steps", "3"])
    assert [key[1] for key in distances(the_record(tmp_path))] == [1, 2, 3]


def test_likelihoods_are_recorded_before_samples_are_drawn(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone" / "best.ckpt"
    alone.parent.mkdir()
    alone.write_bytes((run / "checkpoints/best.ckpt").read_bytes())

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "_score_samples", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        evaluate.main([str(alone)])
    record = the_record(tmp_path)
    assert {score.name for score in record.scores} == {"bpd", "nll"}
    assert all((alone.parent / score.per_example).is_file() for score in record.scores if score.per_example)


def test_the_bar_and_the_table_name_sampler_steps_and_guidance(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone" / "best.ckpt"
    alone.parent.mkdir()
    alone.write_bytes((run / "checkpoints/best.ckpt").read_bytes())
    monkeypatch.setenv("COLUMNS", "200")
    asked = ["--sampler", "ddim", "dpmpp_2m", "--steps", "2", "--guidance", "2"]
    evaluate.main([str(alone), *asked, "--trainer.enable_progress_bar=true"])
    shown = capsys.readouterr()
    for i, name in enumerate(("ddim", "dpmpp_2m")):
        assert f"sampling {i + 1}/2: {name}, steps 2, guidance 2" in shown.err
        assert f"test, {name}, steps 2, guidance 2" in shown.out
    evaluate.main([str(alone), *asked, "--trainer.enable_progress_bar=false"])
    assert "sampling" not in capsys.readouterr().err


def test_a_record_that_begins_with_other_samplers_shows_the_models_own_samples(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "best.ckpt"
    alone.parent.mkdir()
    alone.write_bytes((run / "checkpoints/best.ckpt").read_bytes())
    evaluate.main([str(alone), "--steps", "1", "1"])
    record = the_record(tmp_path)
    assert list(distances(record)) == [("ancestral", 1, None)]
    assert record.cost.function_evaluations_per_sample is None
    assert (alone.parent / "samples/final.png").read_bytes() == (run / "samples/final.png").read_bytes()
    evaluate.main([str(alone)])
    assert the_record(tmp_path).cost.function_evaluations_per_sample == 4


def test_guided_samples_are_another_question(run: Path) -> None:
    evaluate.main([str(run / "checkpoints/best.ckpt"), "--guidance", "2.0"])
    found = distances(the_record(run))
    guided, plain = found[("ancestral", 4, 2)], found[("ancestral", 4, None)]
    assert guided.protocol.column_key() != plain.protocol.column_key()
    assert guided.protocol.sampler_settings["function_evaluations"] == 8


def test_the_same_sampler_twice_gives_the_same_number(run: Path) -> None:
    before = distances(the_record(run))[("ancestral", 4, None)]
    evaluate.main([str(run / "checkpoints/best.ckpt"), "--steps", "4"])
    after = distances(the_record(run))[("ancestral", 4, None)]
    assert (after.value, after.protocol.hash) == (before.value, before.protocol.hash)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sampler", "dimm"], "there is no sampler 'dimm'; did you mean 'ddim'? (there are: ancestral, ddim,"),
        (["--steps", "0"], "steps=0 must be at least 1"),
        (["--steps", "few"], "invalid int value: 'few'"),
    ],
)
def test_what_cannot_be_sampled_is_refused_in_a_line(
    options: list[str], words: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = (run / "record.json").read_bytes()
    assert run_command(evaluate.main, [str(run / "checkpoints/best.ckpt"), *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert (run / "record.json").read_bytes() == record


def test_pictures_by_other_samplers_and_interpolations(run: Path, tmp_path: Path) -> None:
    def drawn(name: str, *options: str) -> bytes:
        file = tmp_path / f"{name}.png"
        sample([str(run / "checkpoints/best.ckpt"), f"--out={file}", *options])
        return file.read_bytes()

    found = {
        drawn("own", "--n=9"),
        drawn("ddim", "--n=9", "--sampler=ddim"),
        drawn("more", "--n=9", "--sampler=ddim", "--sampler-steps=8"),
        drawn("guided", "--n=9", "--guidance=3"),
        drawn("label", "--n=9", "--label=3", "--guidance=3"),
        drawn("way", "--interpolate", "0", "1", "--steps=3", "--sampler-steps=8"),
    }
    assert len(found) == 6
