"""The leaderboard shows every record that can be read, whatever another file of the folder contains."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from properties import lengths
from records.makers import BPD, make_bpd, make_record
from records.strategies import Tree, changed, records, tree_of

from lit_gen.leaderboard.__main__ import main
from lit_gen.records.record import Cost, Score, write_record

# Each with whether all runs are in it, also those without validations.
FORMS = {
    "": True, "--html {}": True, "--markdown": True, "--latex": True, "--csv": True, "--json": True, "--each-run": True,
    "--strict": True, "--compare-weights": True, "--sort model": True, "--at-most 1M": True,
    "--over-examples": False, "--at-most 10k-examples": False, "--at-most 10min": False,
}
TREES = records().map(tree_of)
# A section of baselines alone, whose columns of costs are empty.
ALONE = tree_of(make_record(baselines=[make_bpd(data="other", weights="none", ema_halflife_examples=None)]))
# A section whose only run is larger than what is asked for.
LARGE = tree_of(make_record(make_bpd(data="other"), data="other", cost=Cost(parameters=2_000_000)))
# Their ratio, the number of dimensions, is infinite.
TWINS = tree_of(make_record(
    make_bpd(1e-300), Score(name="nll", value=1e300, kind="bound", protocol=dataclasses.replace(BPD, metric="nll"))
))


@lengths()
def test_one_changed_record_does_not_stop_the_leaderboard(
    length: settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs/b/record.json"
    write_record(tmp_path / "runs/a/record.json", make_record(make_bpd()))
    path.parent.mkdir()

    @length
    @given(TREES | TREES.flatmap(changed), st.sampled_from([*FORMS]))
    @example(ALONE, "")
    @example(LARGE, "--at-most 1M")
    def holds(tree: Tree, form: str) -> None:
        capsys.readouterr()
        path.write_text(json.dumps(tree))
        exit_code = main([str(tmp_path / "runs"), *form.format(tmp_path / "page.html").split()])
        out, err = capsys.readouterr()
        if exit_code and not FORMS[form]:
            assert err.splitlines()[-1].startswith("error: no run")
            return
        assert exit_code == 0
        assert "vae-1" in out or not FORMS[form]
        assert not [c for c in out if ord(c) < 32 and c != "\n"]

    holds()


@lengths()
def test_a_changed_record_is_checked_in_lines(
    length: settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "record.json"

    @length
    @given(TREES | TREES.flatmap(changed))
    @example(TWINS)
    def holds(tree: Tree) -> None:
        capsys.readouterr()
        path.write_text(json.dumps(tree))
        assert main(["--check", str(path)]) in (0, 1)
        out, err = capsys.readouterr()
        assert err == ""
        assert all(line.startswith(str(path)) for line in out.splitlines())

    holds()
