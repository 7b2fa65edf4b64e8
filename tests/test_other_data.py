"""A checkpoint knows what it was trained on: it is not continued on other data, and scored on them as what it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import checkpoint, options, run_fit
from sequence_runs import fit_text
from test_same_folder import error_of, scores
from typing_extensions import override

from lit_gen import evaluate, fit
from lit_gen.data import Digits, Split
from lit_gen.data.example_hashes import TRAIN_EXAMPLES, count_seen, example_hashes
from lit_gen.data.module import SplitName
from lit_gen.leaderboard.collect import find_runs
from lit_gen.leaderboard.group import build_sections
from lit_gen.records.record import read_record

SHORT = "--budget.max_examples=300"
OTHERS = "--data=test_other_data.Others"
COPIES = 7


class Others(Digits):
    """Digits upside down, in which 7 test images are training images of the digits."""

    @override
    def read_grey(self) -> dict[SplitName, Split]:
        """The digits' splits, turned."""
        digits = super().read_grey()
        turned = {name: Split(split.x.flip(2), split.label) for name, split in digits.items()}
        turned["test"].x[10 : 10 + COPIES] = digits["train"].x[100 : 100 + COPIES]
        return turned

    def __init__(self, batch_size: int = 50) -> None:
        super().__init__(batch_size)
        self.name = "others"


class OtherTest(Digits):
    """Digits whose test split alone is another."""

    def __init__(self, batch_size: int = 50) -> None:
        super().__init__(batch_size)

    @override
    def read_grey(self) -> dict[SplitName, Split]:
        """The digits' splits, the test split turned."""
        digits = super().read_grey()
        return {**digits, "test": Split(digits["test"].x.flip(2), digits["test"].label)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_fit("vae", tmp_path_factory.mktemp("finished"), "run", SHORT)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, for this test to write into."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "run"))


# ------------------------------------------------------------------ what is kept


def test_checkpoints_hold_fingerprints_and_the_folder_hashes(run: Path) -> None:
    data = Digits()
    for name in ("best", "last"):
        assert checkpoint(run, name)["lit_gen_data"] == {
            "name": "digits", "train": data.fingerprint("train"), "val": data.fingerprint("val")
        }
    kept = np.load(run / TRAIN_EXAMPLES)
    assert kept.dtype == np.uint64
    assert np.array_equal(kept, np.unique(example_hashes(data.split("train").x)))
    assert len(kept) == len(data.split("train").x.unique(dim=0))


def test_copies_are_counted_by_all_of_their_bytes(tmp_path: Path) -> None:
    x = torch.randint(0, 256, (5000, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / TRAIN_EXAMPLES, np.sort(example_hashes(x)))
    near = x[:100].clone()
    near[:, 2, 3, 3] ^= 1
    assert count_seen(near, tmp_path) == 0
    assert count_seen(torch.cat([near, x[4990:]]), tmp_path) == 10
    assert count_seen(x, tmp_path / "elsewhere") is None


def test_windows_of_text_are_hashed_too(tmp_path: Path) -> None:
    run = fit_text(tmp_path)
    assert 0 < len(np.load(run / TRAIN_EXAMPLES)) <= 4000 // 12


# ------------------------------------------------------------------ going on


@pytest.mark.parametrize("how", ["resume", "ckpt_path"])
def test_other_data_are_rejected_with_the_way_to_start_anew(
    how: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run / "checkpoints" / "last.ckpt"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    more = [OTHERS, "--budget.max_examples=600"]
    if how == "resume":
        args = ["--resume", str(run), *more]
    else:
        args = options("vae", tmp_path / "new", f"--ckpt_path={file}", *more)
    line = error_of(args, capsys)
    assert "the train split of 'others' is not that of 'digits'" in line
    assert line.endswith(f"--weights={file}")
    assert not (tmp_path / "new").exists()
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    fit.main(options("vae", tmp_path / "new", "--run_name=new", SHORT, OTHERS, f"--weights={file}"))
    record = read_record(tmp_path / "new" / "new" / "record.json")
    assert (record.data, record.cost.examples_seen) == ("others", 300)
    assert record.notes["test_examples_trained_on"] == COPIES, "the weights have seen the other run's examples"


def test_another_test_split_is_no_other_training(run: Path) -> None:
    fit.main(["--resume", str(run), "--data=test_other_data.OtherTest", "--budget.max_examples=600"])
    assert read_record(run / "record.json").cost.examples_seen == 600


# ------------------------------------------------------------------ scores on other data


def test_scores_on_other_data_leave_the_run_where_it_is(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    before = read_record(run / "record.json")
    assert not [name for name in before.notes if name.endswith("trained_on")]
    capsys.readouterr()
    evaluate.main([str(run / "checkpoints" / "best.ckpt"), OTHERS])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"others test examples trained on │ {COPIES}" in shown
    after = read_record(run / "record.json")
    kept = ("data", "dimension", "train_hash", "config", "entropy")
    assert [getattr(before, name) for name in kept] == [getattr(after, name) for name in kept]
    assert after.notes["others_test_examples_trained_on"] == COPIES
    assert scores(after)[: len(before.scores)] == scores(before)
    new = after.scores[len(before.scores) :]
    assert {score.protocol.data for score in new} == {"others"}
    assert {score.protocol.split for score in new} == {"test", None}, "its training split was not trained on"

    digits, others = build_sections(find_runs(run.parent).runs)
    assert (digits.data, others.data) == ("digits", "others")
    assert [row.label for row in digits.rows] == ["run"]
    assert [row.label for row in others.rows] == ["run (trained on digits)"]
    assert {s.value for cell in digits.rows[0].cells for s in cell} == {s.value for s in before.scores}
    assert {s.value for cell in others.rows[0].cells for s in cell} == {s.value for s in new}


def test_an_entropy_limits_scores_on_its_own_data_alone(run: Path) -> None:
    """Data of lower entropy can be coded in fewer bits."""
    file = run / "record.json"
    evaluate.main([str(run / "checkpoints" / "best.ckpt"), OTHERS, "--quality.extractor=null"])
    tree = json.loads(file.read_text())
    tree["entropy"] = {"bpd": 1000.0}
    file.write_text(json.dumps(tree))
    found = find_runs(run.parent)
    assert len(found.runs) == 1, found.left_out
    bpd = [score.protocol for score in found.runs[0].record.scores if score.name == "bpd"]
    assert [(protocol.data, protocol.split) for protocol in bpd] == [("digits", "train"), ("others", "test")]
