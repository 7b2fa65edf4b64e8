"""Entries of other programs get the very scores that a run of lit_gen has under the same protocol."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from commands import run_fit, the_record

from lit_gen import evaluate
from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.process import run_command
from lit_gen.leaderboard.__main__ import main as leaderboard
from lit_gen.leaderboard.collect import find_runs
from lit_gen.leaderboard.group import build_sections
from lit_gen.records.record import Record
from lit_gen.records.score import Score
from lit_gen.runs.weights import load_weights

DIGITS = ["--config", "configs/data/digits.yaml", "--trainer.enable_progress_bar=false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the VAE, its samples and its likelihoods as files."""
    folder = run_fit("vae", tmp_path_factory.mktemp("runs"), "vae")
    checkpoint = folder / "checkpoints" / "best.ckpt"
    evaluate.main([str(checkpoint), "--per-example", str(folder / "nats.csv")])
    content = read_checkpoint(checkpoint)
    of_run = run_from_checkpoint(content, [])
    load_weights(of_run, content, "auto")
    model = of_run.model
    np.savez(folder / "x.npz", samples=model.sample(40, seed=0).numpy())
    return folder


def scored(folder: Path, *args: str) -> Record:
    evaluate.main([*args, *DIGITS, f"--trainer.default_root_dir={folder}"])
    return the_record(folder)


def values(record: Record) -> dict[str, tuple[float, float | None]]:
    return {s.name: (s.value, s.standard_error) for s in record.scores if s.protocol.split != "train"}


def test_samples_and_likelihoods_of_a_run_have_its_scores(run: Path, tmp_path: Path) -> None:
    nats = ["--nats", str(run / "nats.csv"), "--kind", "bound"]
    record = scored(tmp_path, "--samples", str(run / "x.npz"), *nats, "--name", "mine", "--family", "vae")
    expected = values(the_record(run))
    found = values(record)
    assert found.keys() == expected.keys()
    for name, (value, error) in expected.items():
        assert found[name][0] == pytest.approx(value, rel=1e-6), name
        assert found[name][1] == pytest.approx(error, rel=0.2), name  # without the replicates' own part
    assert record.notes["declared"] == "samples and likelihoods"
    assert (record.family, record.cost.parameters, record.run_name) == ("vae", None, "mine")
    assert {s.protocol.weights for s in record.scores} == {"unknown"}
    assert {s.kind for s in record.scores} == {"bound", None}


def test_their_records_are_valid_contributions(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored(tmp_path, "--samples", str(run / "x.npz"), "--name", "theirs")
    leaderboard(["--check", str(tmp_path / "theirs" / "record.json")])
    assert "record.json: valid" in capsys.readouterr().out


def test_they_share_the_columns_of_a_run(run: Path, tmp_path: Path) -> None:
    scored(tmp_path / "b", "--samples", str(run / "x.npz"))
    runs = [*find_runs(run).runs, *find_runs(tmp_path).runs]
    (section,) = build_sections(runs)
    names = [column.metric for column in section.columns]
    for metric in ("fd_mnist_cnn", "is_mnist_cnn"):
        assert names.count(metric) == 1
        cells = [row.cells[names.index(metric)] for row in section.rows]
        assert all(cells)


def test_scores_are_added_to_an_entry_and_never_to_a_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(tmp_path, "--samples", str(run / "x.npz"))
    record = scored(tmp_path, "--samples", str(run / "x.npz"), "--scoring.num_samples=30")
    assert [s.protocol.num_samples for s in record.scores if s.name == "fd_mnist_cnn"] == [40, 30]
    args = ["--samples", str(run / "x.npz"), "--name", run.name, *DIGITS, f"--trainer.default_root_dir={run.parent}"]
    assert run_command(evaluate.main, args) == 2
    assert "is a run of lit_gen" in capsys.readouterr().err


OWN = """
import torch

class Constant:
    likelihood_kind = "exact"

    def __init__(self, shape, num_levels):
        self.shape, self.num_levels = shape, num_levels

    def sample(self, n, seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(self.num_levels, (n, *self.shape), generator=generator)

    def nll(self, x):
        return torch.full((len(x),), 64 * 17.0).log() * 0 + 64 * torch.tensor(17.0).log()

class Neither:
    pass

class OutOfRange(Constant):
    def sample(self, n, seed):
        return super().sample(n, seed) + 1
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_generator.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("own_generator", None)


@pytest.mark.usefixtures("own")
def test_an_object_of_any_class_is_scored(tmp_path: Path) -> None:
    found = {s.name: s for s in scored(tmp_path / "r", "--module", "own_generator.Constant",
                                       "--scoring.num_samples=40").scores}
    assert found["bpd"].value == pytest.approx(np.log2(17.0), rel=1e-6)
    assert found["bpd"].kind == "exact"
    assert found["fd_mnist_cnn"].value > 5  # noise is far from digits


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--module", "own_generator.Neither"], "neither sample"),
        (["--module", "own_generator.OutOfRange"], "the value 17"),
        (["--module", "own_generator.Missing"], "own_generator.Missing"),
        (["--module", "nowhere.Class"], "No module named"),
        (["--module", "own_generator.Constant", "--kind", "exact"], "leave out"),
        (["--samples", "nowhere.npz"], "nowhere.npz"),
        (["--nats", "nowhere.npy", "--kind", "bound"], "nowhere.npy"),
        (["--nats", "nowhere.npy"], "--kind exact"),
        (["--samples", "nowhere"], "does not exist"),
        (["--samples", "nowhere.npz", "--name", "a/b"], "nowhere.npz"),
        (["--samples", "x.npz", "--wieghts", "ema"], "unknown option"),
        (["--samples", "x.npz", "--parameters", "-1"], "--parameters=-1"),
    ],
)
def test_wrong_input_is_answered_in_one_line(
    args: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "runs"
    assert run_command(evaluate.main, [*args, *DIGITS, f"--trainer.default_root_dir={root}"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1
    assert says in error[0]
    assert not root.exists()


def test_a_short_file_of_likelihoods_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n.txt").write_text("1.0\n2.0\n")
    args = ["--nats", str(tmp_path / "n.txt"), "--kind", "exact", *DIGITS]
    assert run_command(evaluate.main, args) == 2
    assert "2 values, and the split 'test' has 447 examples" in capsys.readouterr().err


def test_baselines_are_rows_under_the_protocol_of_a_run(run: Path, tmp_path: Path) -> None:
    evaluate.main([str(run / "checkpoints" / "best.ckpt"), "--baselines", f"--trainer.default_root_dir={tmp_path}"])
    record = the_record(tmp_path)
    by_row: dict[str, list[Score]] = {}
    for score in record.baselines:
        by_row.setdefault(score.protocol.sampler or score.protocol.estimator or "", []).append(score)
    assert set(by_row) == {
        "uniform noise", "factorized categorical", "Gaussian with the data's covariance", "real train images",
        "memorizer of 100 training examples", "PNG", "WebP lossless", "zlib", "xz",
    }
    fd = {row: s.value for row, scores in by_row.items() for s in scores if s.name == "fd_mnist_cnn"}
    order = ["real train images", "Gaussian with the data's covariance", "factorized categorical", "uniform noise"]
    assert [fd[row] for row in order] == sorted(fd[row] for row in order)
    (section,) = build_sections([*find_runs(run).runs, *find_runs(tmp_path).runs])
    assert len(section.rows) == 1  # of the run; the baselines have rows of their own kind
    assert {row.label for row in section.baselines} == set(by_row)
    names = [column.metric for column in section.columns]
    assert names.count("fd_mnist_cnn") == names.count("nll") == 1
