"""Scores belong to a checkpoint and a protocol: the same twice, and never mixed."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import run_fit, the_record

from lit_gen import evaluate
from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.process import run_command
from lit_gen.noise import Noise
from lit_gen.records.record import Record, read_record
from lit_gen.records.score import Score
from lit_gen.runs.weights import load_weights
from lit_gen.scoring.scorer import some_rows

FAMILIES = pytest.mark.parametrize("family", ["vae", "gan"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each family whose average differs from its last weights."""
    root = tmp_path_factory.mktemp("finished")
    more = {"vae": ["--model.observation=Categorical"], "gan": []}
    return {
        family: run_fit(family, root / family, "run", "--budget.max_examples=1000", *options)
        for family, options in more.items()
    }


@pytest.fixture
def runs(finished: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Copies of the finished runs, for this test to write into."""
    return {family: shutil.copytree(run, tmp_path / family / "run") for family, run in finished.items()}


def best(run: Path) -> Path:
    return run / "checkpoints" / "best.ckpt"


def scored(checkpoint: Path, *options: str) -> None:
    evaluate.main([str(checkpoint), *options])


def by_name(record: Record, **protocol: Any) -> dict[str, Score]:
    """A record's scores whose protocols have these fields, without likelihoods of training examples."""
    return {
        s.name: s
        for s in record.scores
        if s.protocol.split != "train" and all(getattr(s.protocol, field) == value for field, value in protocol.items())
    }


def as_json(scores: list[Score]) -> list[tuple[str, float, float | None, str]]:
    return sorted((s.name, s.value, s.standard_error, s.protocol.hash) for s in scores)


def refusal(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line in which ``evaluate`` refuses."""
    assert run_command(evaluate.main, args) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, error
    return lines[0]


def rewritten(checkpoint: Path, **state: torch.Tensor | float) -> None:
    """Overwrites weights of a checkpoint, the raw ones and the average's."""
    content = torch.load(checkpoint, weights_only=True)
    for name, value in state.items():
        for tensors in (content["state_dict"], content["callbacks"]["ema"]["average"]):
            tensors[name.replace("__", ".")][...] = value
    torch.save(content, checkpoint)


# ------------------------------------------------------------------ some of the split


def test_the_likelihood_of_some_examples_is_a_score_of_its_own(runs: dict[str, Path]) -> None:
    """What takes seconds an example need not be taken of all; examples keep their draws, and columns stay apart."""
    checkpoint = best(runs["vae"])
    scored(checkpoint, "--scoring.max_examples=50", "--quality.extractor=null")
    record = the_record(runs["vae"].parent)
    whole, some = (by_name(record, num_examples=n)["nll"] for n in (447, 50))
    assert whole.protocol.data_hash != some.protocol.data_hash

    run = run_from_checkpoint(read_checkpoint(checkpoint), [])
    load_weights(run, read_checkpoint(checkpoint), "auto")
    rows = some_rows(447, 50, 0)
    assert len(set(rows.tolist())) == 50
    with torch.no_grad():
        noise = Noise(0, rows, run.model.device)
        x = run.data.split("test").x[rows]
        pair = torch.stack([run.model.eval().nll(x, noise).nats for _ in range(2)]).double()
    assert some.value == pytest.approx(float(pair.mean()), rel=1e-5)
    assert some.standard_error == pytest.approx(float(pair.mean(0).std() / math.sqrt(50)), rel=1e-3)
    assert some.error.from_draws == pytest.approx(float((pair[0] - pair[1]).square().sum().sqrt()) / 2 / 50, rel=1e-3)
    assert some.error.from_draws**2 + some.error.from_examples**2 == pytest.approx(some.standard_error**2)


def test_as_many_examples_as_there_are_make_no_difference(runs: dict[str, Path]) -> None:
    """All is all, however it was asked for."""
    before = as_json(the_record(runs["vae"].parent).scores)
    scored(best(runs["vae"]), "--scoring.max_examples=447")
    assert as_json(the_record(runs["vae"].parent).scores) == before


def test_one_example_has_no_error(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """And none at all no mean."""
    assert "scoring.max_examples is 1" in refusal([str(best(runs["vae"])), "--scoring.max_examples=1"], capsys)


# ------------------------------------------------------------------ the same twice


@FAMILIES
def test_scores_are_fit_s_own_to_the_bit(family: str, runs: dict[str, Path]) -> None:
    """``fit`` takes them in a fresh Trainer from the same file: training leaves nothing behind in them."""
    before = read_record(runs[family] / "record.json")
    assert len(before.scores) == (5 if family == "vae" else 2)  # with one of training examples
    scored(best(runs[family]))
    after = the_record(runs[family])
    assert as_json(after.scores) == as_json(before.scores)
    assert as_json(after.baselines) == as_json(before.baselines)
    assert after.selection == before.selection
    assert after.cost.examples_seen == before.cost.examples_seen == 1000
    assert after.config == before.config


@FAMILIES
def test_average_and_raw_weights_are_scored_apart_and_named(family: str, runs: dict[str, Path]) -> None:
    before, grid = read_record(runs[family] / "record.json"), runs[family] / "samples" / "final.png"
    shown = grid.read_bytes()
    scored(best(runs[family]), "--scoring.weights=raw")
    assert grid.read_bytes() == shown, "the record's picture is of the weights that were scored first"
    after = the_record(runs[family])
    ema, raw = by_name(after, weights="ema"), by_name(after, weights="raw")
    assert ema.keys() == raw.keys() == by_name(before).keys()
    for name in ema:
        assert ema[name].value != raw[name].value, name
        assert ema[name].protocol.ema_halflife_examples == 300
        assert raw[name].protocol.ema_halflife_examples is None
    assert as_json(list(ema.values())) == as_json(list(by_name(before).values()))
    scored(best(runs[family]), "--scoring.weights=ema")
    assert as_json(the_record(runs[family]).scores) == as_json(after.scores), "'auto' is the average"


def test_scored_weights_are_the_named_ones(runs: dict[str, Path]) -> None:
    """With the average wiped out, its score is an indifferent model's, log2(17), and the raw weights' is not."""
    run = runs["vae"]
    content = torch.load(best(run), weights_only=True)
    last = max(int(n.split(".")[1]) for n in content["state_dict"] if n.startswith("decoder"))
    for name, tensor in content["callbacks"]["ema"]["average"].items():
        if name.startswith(f"decoder.{last}.") or name.startswith("encoder"):
            tensor.zero_()
    torch.save(content, best(run))
    raw_before = read_record(run / "record.json")
    scored(best(run))
    scored(best(run), "--scoring.weights=raw")
    ema = by_name(the_record(run), weights="ema")["bpd"].value
    raw = by_name(the_record(run), weights="raw")["bpd"].value
    assert ema == pytest.approx(math.log2(17), rel=1e-6)
    assert raw < by_name(raw_before)["bpd"].value + 1.0
    assert raw != pytest.approx(ema, rel=1e-3)


def test_scores_do_not_depend_on_the_batch(runs: dict[str, Path]) -> None:
    scored(best(runs["vae"]), "--data.loader.eval_batch_size=7", "--scoring.seed=1")
    small = by_name(the_record(runs["vae"]), seed=1)
    shutil.rmtree(runs["vae"] / "evaluations", ignore_errors=True)
    scored(best(runs["vae"]), "--data.loader.eval_batch_size=447", "--scoring.seed=1")
    large = by_name(the_record(runs["vae"]), seed=1)
    assert small.keys() == large.keys() == {"bpd", "nll", "fd_mnist_cnn", "is_mnist_cnn"}
    for name in small:
        assert small[name].value == pytest.approx(large[name].value, rel=1e-6), name
        assert small[name].protocol.hash == large[name].protocol.hash


# ------------------------------------------------------------------ further protocols


def test_second_protocol_is_added_and_the_first_stays(runs: dict[str, Path]) -> None:
    run = runs["vae"]
    before = read_record(run / "record.json")
    scored(best(run), "--scoring.num_samples=60", "--scoring.split=val")
    after = the_record(run)
    known = {s.protocol.hash for s in before.scores}
    assert as_json([s for s in after.scores if s.protocol.hash in known]) == as_json(before.scores)
    added = {name: s for name, s in by_name(after).items() if s.protocol.hash not in known}
    assert added.keys() == by_name(before).keys()
    assert {s.protocol.num_samples for s in added.values() if s.name.startswith("fd")} == {60}
    compared = [s.protocol for name, s in added.items() if not name.startswith("is")]
    assert {(protocol.split, protocol.num_examples) for protocol in compared} == {("val", 350)}
    hashes = [s.protocol.hash for s in after.scores]
    assert len(set(hashes)) == len(hashes)


def test_importance_weights_tighten_the_bound(runs: dict[str, Path]) -> None:
    """By far more than the error of the difference, which is paired over the same examples."""
    scored(best(runs["vae"]), "--scoring.estimator=iwae", "--scoring.draws=50")
    record = the_record(runs["vae"])
    elbo, iwae = by_name(record, estimator="elbo"), by_name(record, estimator="iwae-50")
    assert iwae["nll"].value < elbo["nll"].value - 0.1
    assert (elbo["nll"].kind, iwae["nll"].kind) == ("bound", "bound")
    assert (elbo["nll"].protocol.draws, iwae["nll"].protocol.draws) == (1, 50)


def test_bits_are_nats_over_dimensions(runs: dict[str, Path]) -> None:
    record = read_record(runs["vae"] / "record.json")
    found = by_name(record)
    assert found["bpd"].value == pytest.approx(found["nll"].value / (64 * math.log(2)), rel=1e-12)
    baseline = next(b for b in record.baselines if b.name == "bpd")
    assert (baseline.value, baseline.kind) == (math.log2(17), "exact")


# ------------------------------------------------------------------ whose record it is


def test_another_checkpoint_gets_a_record_of_its_own(runs: dict[str, Path]) -> None:
    run = runs["vae"]
    files = ("record.json", "samples/final.png", "training.json", "config.yaml")
    before = {name: (run / name).read_bytes() for name in files}
    scored(run / "checkpoints" / "last.ckpt", "--scoring.weights=raw")
    assert {name: (run / name).read_bytes() for name in files} == before
    other = read_record(run / "evaluations" / "last" / "record.json")
    assert other.run_name == "run (last.ckpt)"
    assert other.selection.rule == "last (named by the user)"
    assert other.files == {"sample_grid": "samples/final.png"}
    assert (run / "evaluations" / "last" / "samples" / "final.png").is_file()


def test_unfinished_run_is_scored_and_its_later_state_is_not_mixed_in(runs: dict[str, Path]) -> None:
    """A file of one name is written again and again while a run goes on."""
    run = runs["vae"]
    (run / "record.json").unlink()
    (run / "training.json").unlink()
    scored(best(run))
    first = read_record(run / "record.json")
    assert first.selection.rule == "best (named by the user)"
    assert first.cost.examples_seen == 1000
    content = torch.load(best(run), weights_only=True)
    content["global_step"] += 1
    torch.save(content, best(run))
    scored(best(run), "--scoring.seed=1")
    assert read_record(run / "record.json") == first
    assert {s.protocol.seed for s in read_record(run / "evaluations" / "best" / "record.json").scores} == {1}


def test_record_written_during_a_run_gives_way_to_the_finished_one_s(runs: dict[str, Path]) -> None:
    run = runs["vae"]
    old = json.loads((run / "record.json").read_text())
    old["selection"]["step"] -= 1
    (run / "record.json").write_text(json.dumps(old))
    scored(best(run), "--scoring.seed=1")
    assert {s.protocol.seed for s in the_record(run).scores} == {1}


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, this is another machine with other code."""
    monkeypatch.setattr("lit_gen.runs.results.git_commit", lambda: "b" * 40)
    monkeypatch.setattr("lit_gen.runs.results.now", lambda: "2031-01-01T00:00:00+00:00")
    monkeypatch.setattr("platform.machine", lambda: "abacus")


def test_record_names_the_training_s_machine_and_code(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_record(runs["vae"] / "record.json")
    assert all(score.scored_with is None for score in (*before.scores, *before.baselines))
    elsewhere(monkeypatch)
    scored(best(runs["vae"]), "--scoring.seed=1", "--seed_everything=5", "--data.loader.eval_batch_size=7")
    after = the_record(runs["vae"])
    for field in ("environment", "git_commit", "created", "config", "seed"):
        assert getattr(after, field) == getattr(before, field), field
    assert after.cost == before.cost
    for score in (*after.scores, *after.baselines):
        assert (score.scored_with is None) == (score.protocol.seed == 0)
        assert score.scored_with is None or "abacus" in score.scored_with.machine
    assert {score.protocol.seed for score in after.scores} == {0, 1}


def test_training_s_origin_is_in_its_notes(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the first score may be taken elsewhere."""
    before = read_record(runs["vae"] / "record.json")
    (runs["vae"] / "record.json").unlink()
    elsewhere(monkeypatch)
    scored(best(runs["vae"]))
    after = the_record(runs["vae"])
    assert (after.environment, after.git_commit, after.created) == (
        before.environment, before.git_commit, before.created
    )
    assert all(score.scored_with is not None for score in after.scores)
    assert as_json(after.scores) == as_json(before.scores)


def test_lone_checkpoint_names_who_scored_it_first(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "elsewhere" / "mine.ckpt"
    alone.parent.mkdir()
    shutil.copy(best(runs["vae"]), alone)
    scored(alone)
    before = read_record(alone.parent / "record.json")
    elsewhere(monkeypatch)
    scored(alone, "--scoring.seed=1")
    after = read_record(alone.parent / "record.json")
    assert (after.environment, after.git_commit, after.created) == (
        before.environment, before.git_commit, before.created
    )
    assert [score.scored_with is None for score in after.scores] == [True] * 5 + [False] * 5


@pytest.mark.parametrize("file", ["record.json", "training.json"])
def test_damaged_files_are_told_before_the_scores_are_taken(
    file: str, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs["vae"] / file).write_text("{")
    monkeypatch.setattr(evaluate, "score", lambda *_: pytest.fail("scores were taken, and would be lost"))
    assert str(runs["vae"] / file) in refusal([str(best(runs["vae"]))], capsys)


def test_halflife_is_the_checkpoint_s(runs: dict[str, Path]) -> None:
    """What is written beside a score is how the average was made, not what this command was told."""
    content = torch.load(best(runs["vae"]), weights_only=True)
    content["callbacks"]["ema"]["halflife_examples"] = 300.0
    torch.save(content, best(runs["vae"]))
    before = read_record(runs["vae"] / "record.json")
    scored(best(runs["vae"]), "--ema.halflife_examples=7")
    assert as_json(the_record(runs["vae"]).scores) == as_json(before.scores)


def test_files_that_could_not_be_read_are_noted(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_record(runs["vae"] / "record.json").notes == {}
    monkeypatch.setattr("lit_gen.data.Digits.skipped", 3, raising=False)
    monkeypatch.setattr("lit_gen.data.Digits.copies", 2, raising=False)
    scored(best(runs["vae"]))
    assert the_record(runs["vae"]).notes == {"data_skipped": 3, "data_copies": 2}


@FAMILIES
def test_copied_checkpoint_carries_what_its_scores_need(family: str, runs: dict[str, Path], tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere" / "mine.ckpt"
    alone.parent.mkdir()
    shutil.copy(best(runs[family]), alone)
    before = read_record(runs[family] / "record.json")
    shutil.rmtree(runs[family])
    scored(alone)
    after = read_record(alone.parent / "record.json")
    assert as_json(after.scores) == as_json(before.scores)
    assert after.files == {"checkpoint": "mine.ckpt", "sample_grid": "samples/final.png"}


# ------------------------------------------------------------------ cost


@FAMILIES
def test_a_sample_costs_one_evaluation(family: str, finished: dict[str, Path]) -> None:
    record = read_record(finished[family] / "record.json")
    assert record.cost.function_evaluations_per_sample == 1
    settings = by_name(record)["fd_mnist_cnn"].protocol.sampler_settings
    assert settings is not None
    assert dict(settings)["function_evaluations"] == 1
    assert record.cost.seconds_per_1000_samples > 0
    assert record.cost.train_seconds > 0
    assert record.cost.examples_per_second == pytest.approx(1000 / record.cost.train_seconds)


@FAMILIES
def test_parameters_are_counted(family: str, finished: dict[str, Path]) -> None:
    state = torch.load(best(finished[family]), weights_only=True)["state_dict"]
    state = {n: t for n, t in state.items() if isinstance(t, torch.Tensor)}
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    counted = sum(t.numel() for name, t in state.items() if not name.endswith(buffers))
    assert read_record(finished[family] / "record.json").cost.parameters == counted


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("what", ["missing", "empty", "text", "cut short", "foreign", "pickled code"])
def test_what_is_no_checkpoint_is_one_line(
    what: str, finished: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "some.ckpt"
    ran = tmp_path / "ran"
    if what == "empty":
        file.touch()
    elif what == "text":
        file.write_text("hello, I am not a checkpoint")
    elif what == "cut short":
        whole = best(finished["vae"]).read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
    elif what == "foreign":
        torch.save({"state_dict": {"weight": torch.zeros(3)}}, file)
    elif what == "pickled code":
        torch.save(_Touches(ran), file)
    line = refusal([str(file)], capsys)
    assert str(file) in line
    assert "checkpoint" in line
    assert not ran.exists(), "code in a checkpoint was executed"
    assert {p.name for p in tmp_path.iterdir()} <= {"some.ckpt"}


class _Touches:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_options_of_another_model_are_refused(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    before = (runs["vae"] / "record.json").read_bytes()
    line = refusal([str(best(runs["vae"])), "--model.init_args.num_latents=3"], capsys)
    assert "do not fit the model" in line
    assert "scoring.split" in refusal([str(best(runs["vae"])), "--scoring.split=train"], capsys)
    assert "elbo, iwae" in refusal([str(best(runs["vae"])), "--scoring.estimator=iwea"], capsys)
    assert (runs["vae"] / "record.json").read_bytes() == before


def test_average_of_a_run_without_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_fit("vae", tmp_path, "run", "--budget.max_examples=100", "--ema.halflife_examples=null")
    assert {s.protocol.weights for s in the_record(tmp_path).scores} == {"raw"}
    line = refusal([str(best(run)), "--scoring.weights=ema"], capsys)
    assert "kept no average" in line


@FAMILIES
def test_weights_that_are_no_numbers_have_no_score(
    family: str, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A GAN's NaN would come out as black images, and get a distance."""
    run = runs[family]
    before = (run / "record.json").read_bytes()
    name = "decoder.0.bias" if family == "vae" else "generator." + "".join(
        n.removeprefix("generator.")
        for n in list(torch.load(best(run), weights_only=True)["callbacks"]["ema"]["average"])[:1]
    )
    rewritten(best(run), **{name.replace(".", "__"): math.nan})
    line = refusal([str(best(run))], capsys)
    assert name in line
    assert "NaN or infinity" in line
    assert (run / "record.json").read_bytes() == before


def test_likelihood_that_is_not_finite_has_no_score(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Finite weights whose variance overflows: every test example is counted, and named as the reason."""
    run = runs["vae"]
    before = (run / "record.json").read_bytes()
    last = max(n for n in torch.load(best(run), weights_only=True)["state_dict"] if n.startswith("encoder"))
    assert last.endswith("weight")
    rewritten(best(run), **{last.replace("weight", "bias").replace(".", "__"): 1e4})
    assert "447 of 447 test examples have no finite likelihood" in refusal([str(best(run))], capsys)
    assert (run / "record.json").read_bytes() == before


def test_a_limit_of_the_training_does_not_limit_the_scores(runs: dict[str, Path]) -> None:
    before = read_record(runs["vae"] / "record.json")
    scored(best(runs["vae"]), "--trainer.limit_test_batches=1", "--trainer.fast_dev_run=true")
    assert as_json(the_record(runs["vae"]).scores) == as_json(before.scores)


def test_several_checkpoints_are_scored_one_after_another(runs: dict[str, Path]) -> None:
    folder = runs["vae"] / "checkpoints"
    evaluate.main([str(folder / "best.ckpt"), str(folder / "last.ckpt"), "--scoring.num_samples=30"])
    own, other = (read_record(file) for file in (runs["vae"] / "record.json",
                                                 runs["vae"] / "evaluations" / "last" / "record.json"))
    scored = {"fd_mnist_cnn", "is_mnist_cnn"}
    assert by_name(own, num_samples=30).keys() == by_name(other, num_samples=30).keys() == scored
    assert other.selection.checkpoint == "last.ckpt"


@pytest.mark.parametrize(("more", "says"), [(["--per-example=x.csv"], "one checkpoint"), (["nowhere.ckpt"], "nowhere")])
def test_of_several_checkpoints_all_must_exist(
    runs: dict[str, Path], more: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refusal([str(best(runs["vae"])), str(best(runs["vae"])), *more], capsys)
