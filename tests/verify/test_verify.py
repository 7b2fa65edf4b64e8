"""Scores come out the same a second time, and whatever is not the same is named with both numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import run_fit

from lit_gen import evaluate
from lit_gen.__main__ import main
from lit_gen.cli.process import run_command
from lit_gen.metrics import sha256_of_file
from lit_gen.records.record import read_record
from lit_gen.verify import verification


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("finished")
    options = ("--budget.max_examples=500", "--scoring.train_likelihood=false")
    return {family: run_fit(family, root / family, "run", *options) for family in ("vae", "gan")}


@pytest.fixture
def vae(finished: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the finished VAE for this test to change."""
    return shutil.copytree(finished["vae"], tmp_path / "run")


@pytest.fixture
def verified(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str]]]:
    """Runs the command; returns its exit code and the lines that it printed."""

    def run(*args: Any) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = run_command(main, ["verify", *map(str, args)])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return code, (printed.out or printed.err).splitlines()

    return run


Verified = Callable[..., tuple[int, list[str]]]


def best(run: Path) -> Path:
    return run / "checkpoints" / "best.ckpt"


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def changed(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a run's record as JSON."""
    tree = json.loads((run / "record.json").read_text())
    change(tree)
    (run / "record.json").write_text(json.dumps(tree))


# ------------------------------------------------------------------ what is recorded


def test_a_record_holds_the_sha256_of_its_checkpoint(vae: Path) -> None:
    record = read_record(vae / "record.json")
    assert record.selection.checkpoint_sha256 == sha256_of_file(best(vae))
    evaluate.main([str(vae / "checkpoints" / "last.ckpt")])
    other = read_record(vae / "evaluations" / "last" / "record.json")
    assert other.selection.checkpoint_sha256 == sha256_of_file(vae / "checkpoints" / "last.ckpt")


def test_scores_hold_the_options_that_they_were_taken_with(vae: Path) -> None:
    assert {score.arguments for score in read_record(vae / "record.json").scores} == {()}
    given = ("--temperature", "0.5", "0.7", "--scoring.num_samples=30")
    record = read_record(vae / "record.json")
    with pytest.raises(Exception, match="temperature"):
        evaluate.main([str(best(vae)), *given])  # a VAE has none
    assert read_record(vae / "record.json") == record
    given = ("--scoring.seed=3", "--scoring.num_samples", "30")
    evaluate.main([str(best(vae)), *given])
    record = read_record(vae / "record.json")
    assert {score.arguments for score in record.scores if score.protocol.seed == 3} == {given}
    assert {score.arguments for score in record.scores if score.protocol.seed == 0} == {()}


def test_half_a_character_in_an_option_does_not_cost_the_scores(vae: Path) -> None:
    evaluate.main([str(best(vae)), "--scoring.seed=3", "--trainer.default_root_dir=\udcff"])
    kept = {score.arguments for score in read_record(vae / "record.json").scores if score.protocol.seed == 3}
    assert kept == {("--scoring.seed=3", "--trainer.default_root_dir=?")}


# ------------------------------------------------------------------ the same


@pytest.mark.parametrize(("family", "count"), [("vae", 4), ("gan", 2)])
def test_scores_of_a_run_are_identical_and_nothing_is_written(
    family: str, count: int, finished: dict[str, Path], verified: Verified
) -> None:
    before = files(finished[family].parent)
    code, lines = verified(finished[family])
    assert (code, lines[-1]) == (0, f"all {count} scores are identical")
    assert files(finished[family].parent) == before


def test_scores_taken_with_other_options_are_verified_with_these(vae: Path, verified: Verified) -> None:
    evaluate.main([str(best(vae)), "--scoring.estimator=iwae", "--scoring.draws", "3", "--scoring.seed=5"])
    evaluate.main([str(best(vae)), "--scoring.weights=raw", "--quality.extractor=null"])
    code, lines = verified(vae / "record.json")
    assert (code, lines[-1]) == (0, "all 10 scores are identical")


def test_a_further_evaluation_is_verified_by_its_folder(vae: Path, verified: Verified) -> None:
    evaluate.main([str(vae / "checkpoints" / "last.ckpt"), "--scoring.weights=raw"])
    code, lines = verified(vae / "evaluations" / "last")
    assert (code, lines[-1]) == (0, "all 4 scores are identical")


def test_only_computes_what_is_asked_for(
    finished: dict[str, Path], verified: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def watched(*args: Any) -> Any:
        found = retake(*args)
        taken.append({score.name for score in found.scores})
        return found

    retake = verification.retake
    monkeypatch.setattr(verification, "retake", watched)
    assert verified(finished["vae"], "--only", "bpd")[1][-1] == "the score is identical"
    assert verified(finished["vae"], "--only", "fd_mnist_cnn")[1][-1] == "the score is identical"
    assert taken == [{"bpd", "nll"}, {"fd_mnist_cnn", "is_mnist_cnn"}]


# ------------------------------------------------------------------ not the same


def test_a_score_that_was_tampered_with_is_named_with_both_numbers(vae: Path, verified: Verified) -> None:
    true = read_record(vae / "record.json").scores[2]
    wrong = true.value * 1.01

    def tamper(tree: dict[str, Any]) -> None:
        tree["scores"][2]["value"] = wrong
        tree["environment"]["versions"]["torch"] = "0.1"
        tree["git_commit"] = "a" * 40

    changed(vae, tamper)
    code, lines = verified(vae)
    assert code == 1
    assert lines[-1].startswith(
        f"3 of 4 scores are identical, 1 differs: FD-mnist_cnn {wrong!r} was recorded, {true.value!r} here; differing: "
    )
    assert ", 0.1 recorded" in lines[-1]
    assert f"{'a' * 40} recorded" in lines[-1]


def test_rounding_is_told_from_a_difference_by_the_tolerance(vae: Path, verified: Verified) -> None:
    changed(vae, lambda tree: tree["scores"][0].update(value=tree["scores"][0]["value"] * (1 + 3e-8)))
    code, lines = verified(vae, "--only", "bpd", "nll")
    assert (code, lines[-1]) == (0, "1 of 2 scores is identical, 1 agrees to 7 digits")
    code, lines = verified(vae, "--only", "bpd", "--tolerance", "1e-9")
    assert code == 1
    assert "1 differs: bits/dim " in lines[-1]


def test_a_standard_error_counts_as_much_as_the_value(vae: Path, verified: Verified) -> None:
    changed(vae, lambda tree: tree["scores"][1].update(standard_error=0.25))
    code, lines = verified(vae, "--only", "nll")
    assert code == 1
    assert "1 differs: standard error of NLL 0.25 was recorded, " in lines[-1]


def test_other_data_are_named_by_their_hash(vae: Path, verified: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    from lit_gen.data import Digits

    recorded = read_record(vae / "record.json").scores[0].protocol.data_hash
    assert recorded is not None
    monkeypatch.setattr(Digits, "fingerprint", lambda *_: "b" * 64)
    code, lines = verified(vae, "--only", "bpd")
    assert code == 1
    assert lines[-1].startswith("0 of 1 scores are identical, 1 could not be taken again; differing: train hash ")
    assert f"data hash {'b' * 12} here, {recorded[:12]} recorded" in lines[-1]


# ------------------------------------------------------------------ the checkpoint


def test_another_checkpoint_is_told_with_both_hashes_and_not_scored(
    vae: Path, verified: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = sha256_of_file(best(vae))
    shutil.copy(vae / "checkpoints" / "last.ckpt", best(vae))
    with best(vae).open("ab") as file:
        file.write(b"\0")
    monkeypatch.setattr(verification, "retake", lambda *_: pytest.fail("it was scored"))
    code, (line,) = verified(vae)
    assert code == 1
    assert line.startswith(f"error: {best(vae)} is not the checkpoint that was scored")
    assert recorded in line
    assert sha256_of_file(best(vae)) in line


def test_another_checkpoint_is_scored_on_request(vae: Path, verified: Verified) -> None:
    changed(vae, lambda tree: tree["selection"].update(checkpoint_sha256="c" * 64))
    assert verified(vae)[0] == 1
    code, lines = verified(vae, "--any-checkpoint")
    assert (code, lines[-1]) == (0, "all 4 scores are identical")
    assert any("c" * 64 in line for line in lines)


def test_a_missing_checkpoint_is_one_line(vae: Path, verified: Verified) -> None:
    best(vae).unlink()
    code, (line,) = verified(vae)
    assert code == 1
    assert str(best(vae)) in line


# ------------------------------------------------------------------ records of earlier versions


def test_an_earlier_record_is_verified_as_far_as_it_says_how(vae: Path, verified: Verified) -> None:
    evaluate.main([str(best(vae)), "--scoring.estimator=iwae", "--scoring.draws=3"])

    def of_an_earlier_version(tree: dict[str, Any]) -> None:
        del tree["selection"]["checkpoint_sha256"]
        for score in (*tree["scores"], *tree["baselines"]):
            del score["arguments"]

    changed(vae, of_an_earlier_version)
    code, lines = verified(vae)
    assert code == 1
    assert lines[-1].startswith("4 of 6 scores are identical, 2 could not be taken again")
    assert sum("not verifiable: the record does not say with which options" in line for line in lines) == 2
    assert any("holds no checksum" in line for line in lines)


# ------------------------------------------------------------------ wrong input


def test_a_class_that_a_record_names_is_not_imported(vae: Path, verified: Verified, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    changed(vae, lambda tree: tree["scores"][3].update(arguments=["--model.nets=evil.Nets"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        code, (line,) = verified(vae)
    assert code == 2
    assert "--model.nets names 'evil.Nets', which is not a class of lit_gen" in line
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "there is no record nowhere"),
        (["--only", "bpd"], "which run?"),
        (["RUN", "--only", "bdp"], "has no score bdp; did you mean 'bpd'?"),
        (["RUN", "--tolerance", "2"], "--tolerance is 2.0"),
        (["RUN", "--tolerances=1"], "did you mean 'tolerance'?"),
        (["RUN", "--scoring.nothing=1"], "scoring.nothing"),
    ],
)
def test_wrong_input_is_one_line(
    args: list[str], said: str, finished: dict[str, Path], verified: Verified
) -> None:
    code, lines = verified(*(finished["vae"] if arg == "RUN" else arg for arg in args))
    assert code == 2
    (line,) = (line for line in lines if line.startswith("error: "))
    assert said in line


def test_options_that_fit_one_evaluation_only_leave_the_other_scores(vae: Path, verified: Verified) -> None:
    changed(vae, lambda tree: tree["scores"][0].update(arguments=["--scoring.estimator=nothing"]))
    code, lines = verified(vae)
    assert code == 1
    assert lines[-1].startswith("3 of 4 scores are identical, 1 could not be taken again")
    assert any("not taken again" in line and "elbo, iwae" in line for line in lines)
