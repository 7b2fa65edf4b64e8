"""Best for at most so much, scores over examples seen, and how a checkpoint was chosen."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from records.makers import make_bpd, make_record

from lit_gen.errors import UserError
from lit_gen.leaderboard.__main__ import main
from lit_gen.leaderboard.at_most import parse_limits
from lit_gen.leaderboard.page import write_page
from lit_gen.records.record import Record, write_record
from lit_gen.records.validation import Validation

Write = Callable[..., Path]
Output = pytest.CaptureFixture[str]


def trained(name: str, values: Sequence[float], *, every: int = 1000, pace: float = 0.1, **fields: Any) -> Record:
    """A run with a validation after each so many examples, at so many seconds an example."""
    validations = [Validation(examples_seen=every * i, value=value, seconds=pace * every * i)
                   for i, value in enumerate(values, start=1)]
    base = make_record()
    selection = dataclasses.replace(base.selection, validations=validations, candidates=len(values),
                                    value=min(values), last_value=values[-1], **fields.pop("selection", {}))
    cost = dataclasses.replace(base.cost, **fields.pop("cost", {}))
    config = {"model": {"class_path": name}}
    return make_record(make_bpd(), run_name=name, selection=selection, cost=cost, **({"config": config} | fields))


def test_the_best_so_far_ranks_runs_anew(runs: Write, capsys: Output) -> None:
    """At the end b is better; after 200 seconds it is not."""
    root = runs(trained("a", [3.0, 2.5, 2.6, 2.5]), trained("b", [4.0, 3.0, 2.0, 1.0]))
    main([str(root), "--at-most", "200s", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["at_most"] == {"seconds": 200.0}
    assert [(row["run"], row["mean"]) for row in found["best_validations"]] == [("a", 2.5), ("b", 3.0)]
    main([str(root), "--at-most", "4k-examples"])
    out = capsys.readouterr().out
    assert out.startswith("digits: best validation for at most 4.00k examples")
    assert out.index(" b ") < out.index(" a ")
    assert re.search(r"b +val/bpd +1\.0000 +4\.00k +6 min 40 s", out)


def test_seeds_are_a_mean(runs: Write, capsys: Output) -> None:
    same = {"config": {"model": {"class_path": "VAE"}}}
    root = runs(trained("v-0", [3.0, 1.0], seed=0, **same), trained("v-1", [4.0, 1.0], seed=1, **same),
                trained("v-2", [5.0, 1.0], seed=2, every=2000, **same))
    main([str(root), "--at-most", "1500-examples"])
    assert re.search(r"v \(3 seeds\) +val/bpd +3\.5000 +sd 0\.7071 n=2 +1\.00k", capsys.readouterr().out)


def test_larger_models_are_left_out_of_all_tables(runs: Write, capsys: Output) -> None:
    root = runs(trained("small", [2.0], cost={"parameters": 999_999}), trained("large", [1.0]),
                trained("huge", [1.0], cost={"parameters": 1_000_001}))
    main([str(root), "--at-most", "1M", "--csv"])
    out = capsys.readouterr().out
    assert "small" in out
    assert "large" in out
    assert "huge" not in out
    main([str(root), "--at-most", "1M", "1h"])
    assert "huge" not in capsys.readouterr().out


@pytest.mark.parametrize(("texts", "limits"), [
    (["1M"], (1e6, None, None)), (["2.5k"], (2500, None, None)), (["100k-examples"], (None, 1e5, None)),
    (["500EXAMPLES"], (None, 500, None)), (["10min"], (None, None, 600)), (["1.5h", "3m"], (3e6, None, 5400)),
    (["2d"], (None, None, 172_800)),
])
def test_limits_are_read(texts: list[str], limits: tuple[float | None, ...]) -> None:
    assert tuple(None if value == float("inf") else value for value in parse_limits(texts)) == limits


@pytest.mark.parametrize("texts", [["1X"], ["-1"], ["10kmin"], [""], ["1M", "2M"], ["nan"], ["1 h"]])
def test_what_is_no_limit_is_one_line(texts: list[str], runs: Write) -> None:
    with pytest.raises(UserError, match=r"^--at-most: [^\n]*$"):
        parse_limits(texts)


def test_without_validations_it_says_why(runs: Write, capsys: Output) -> None:
    assert main([str(runs(make_record(make_bpd()))), "--at-most", "10min"]) == 2
    assert "no run has a validation within 10 min of training" in capsys.readouterr().err


def checkpoints(root: Path) -> None:
    """One run with its own record and those of two earlier checkpoints, and another run."""
    base = make_record()
    for folder, name, examples, value in (
        ("a", "best.ckpt", 3000, 2.0), ("a/evaluations/early", "early.ckpt", 1000, 3.0),
        ("a/evaluations/middle", "middle.ckpt", 2000, 2.4), ("b", "best.ckpt", 9000, 1.0),
    ):
        selection = dataclasses.replace(base.selection, checkpoint=name, rule=f"{name} (named by the user)")
        cost = dataclasses.replace(base.cost, examples_seen=examples)
        write_record(root / folder / "record.json",
                     make_record(make_bpd(value), run_name=folder, selection=selection, cost=cost))


def test_scores_of_checkpoints_stand_over_examples_seen(tmp_path: Path, capsys: Output) -> None:
    checkpoints(tmp_path)
    assert main([str(tmp_path), "--over-examples"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == ["digits, bits/dim, a", "examples seen checkpoint bits/dim", "1,000 early.ckpt <= 3.00 +- 0.01",
                     "2,000 middle.ckpt <= 2.40 +- 0.01", "3,000 best.ckpt <= 2.00 +- 0.01"]


def test_the_page_joins_them_by_a_line(tmp_path: Path) -> None:
    checkpoints(tmp_path / "runs")
    write_page(tmp_path / "runs", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    found = re.findall(r'(<figure data-quality="0" data-cost="(\w+)".*?</figure>)', text)
    figures = {cost: drawing for drawing, cost in found}
    (line,) = re.findall(r'<polyline points="([^"]*)"', figures["examples_seen"])
    assert len(line.split()) == 3
    assert "<polyline" not in figures["parameters"]


def test_one_checkpoint_a_run_is_no_curve(runs: Write, capsys: Output) -> None:
    assert main([str(runs(make_record(make_bpd()))), "--over-examples"]) == 2
    assert "no run has scores of several checkpoints" in capsys.readouterr().err


def test_candidates_and_trials_stand_in_the_table(runs: Write, capsys: Output) -> None:
    of_sweep = {"selection": {"sweep": "abc"}}
    root = runs(trained("a", [3.0, 2.0], **of_sweep), trained("b", [3.0] * 1200, **of_sweep), make_record(make_bpd()))
    write_record(root / "run0" / "evaluations" / "x" / "record.json", trained("a2", [3.0], **of_sweep))
    main([str(root)])
    said = {line.split()[2]: re.split(r"  +", line)[-1] for line in capsys.readouterr().out.splitlines()
            if line.startswith("vae ")}
    assert said == {"a": "best of 2; 2 trials", "a2": "best of 1; 2 trials", "b": "best of 1,200; 2 trials",
                    "vae-1": "best of 12"}
    main([str(root), "--json"])
    row = next(r for r in json.loads(capsys.readouterr().out)["sections"][0]["rows"] if r["run"] == "a")
    assert row["selection"] == {"rule": "best val/bpd of 12", "checkpoint": "best.ckpt", "candidates": 2,
                                "metric": "val/bpd", "value": 2.0, "last_value": 2.0, "sweep": "abc", "trials": 2}
