"""Runs that differ in their seed alone are one row: which these are, what it shows, and how it is compared."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from records.makers import make_bpd, make_fd, make_record

from lit_gen.leaderboard.__main__ import main
from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.page import write_page
from lit_gen.leaderboard.paired import PairedErrors
from lit_gen.leaderboard.spread import Member, Spread, student_factor
from lit_gen.leaderboard.table import Section
from lit_gen.records.error_parts import ErrorParts
from lit_gen.records.per_example import ExampleNats, write_examples
from lit_gen.records.record import Cost, Record, Score

Write = Callable[..., Path]
Output = pytest.CaptureFixture[str]


def section_of(*records: Record, each_run: bool = False) -> Section:
    runs = [Run(record, Path(f"runs/{i}")) for i, record in enumerate(records)]
    (section,) = build_sections(runs, each_run=each_run)
    return section


def seeds(*scores: Score | Sequence[Score], name: str = "vae", **fields: Any) -> list[Record]:
    """One record for each score, with seeds 0, 1 ..."""
    return [
        make_record(*(score if isinstance(score, list) else [score]), run_name=f"{name}-{i}", seed=i, **fields)
        for i, score in enumerate(scores)
    ]


def with_config(record: Record, **changes: Any) -> Record:
    return dataclasses.replace(record, config={**record.config, **changes})


# ------------------------------------------------------------------ which runs


def test_a_row_has_the_mean_the_deviation_and_the_number_of_its_runs() -> None:
    values = [2.1, 2.4, 2.2]
    (row,) = section_of(*seeds(*map(make_bpd, values))).rows
    ((score,),) = row.cells
    spread = row.spread(score)
    assert spread is not None
    assert score.value == pytest.approx(statistics.mean(values), rel=1e-12)
    assert spread.deviation == pytest.approx(statistics.stdev(values), rel=1e-12)
    assert spread.count == 3
    assert row.label == "vae (3 seeds)"
    assert [member.label for member in row.members] == ["vae-0", "vae-1", "vae-2"]


@pytest.mark.parametrize("changes", [
    {"run_name": "other"}, {"seed_everything": 7}, {"wandb": {"name": "x"}}, {"trainer": {"default_root_dir": "there"}},
    {"trainer": {"logger": None}}, {"scoring": {"draws": 5}}, {"checkpoint": {"keep": "none"}},
])
def test_names_folders_and_loggers_make_no_difference(changes: dict[str, Any]) -> None:
    a, b = seeds(make_bpd(), make_bpd())
    nothing = {name: {} for name in ("trainer", "checkpoint") if name in changes}
    assert len(section_of(with_config(a, **nothing), with_config(b, **changes)).rows) == 1


@pytest.mark.parametrize("other", [
    {"config": {"model": {"class_path": "VAE", "init_args": {"lr": 0.002}}}}, {"train_hash": "e" * 64},
    {"model": "Other"}, {"seed": 0},
    {"selection": dataclasses.replace(make_record().selection, rule="last (named by the user)")},
])
def test_what_changes_the_model_or_repeats_a_seed_has_a_row_of_its_own(other: dict[str, Any]) -> None:
    a, b = seeds(make_bpd(), make_bpd())
    assert len(section_of(a, dataclasses.replace(b, **other)).rows) == 2


def test_nothing_is_grouped_without_a_model_in_the_configuration() -> None:
    assert len(section_of(*seeds(make_bpd(), make_bpd(), config={})).rows) == 2


def test_equal_data_from_another_folder_are_the_same_only_by_their_hash() -> None:
    configs = [{"model": {"class_path": "VAE"}, "data": {"init_args": {"path": path}}} for path in ("a", "b")]
    for train_hash, rows in (("e" * 64, 1), (None, 2)):
        records = [dataclasses.replace(record, config=config, train_hash=train_hash)
                   for record, config in zip(seeds(make_bpd(), make_bpd()), configs, strict=True)]
        assert len(section_of(*records).rows) == rows


def test_each_run_has_a_row_if_asked() -> None:
    assert [row.label for row in section_of(*seeds(make_bpd(), make_bpd()), each_run=True).rows] == ["vae-0", "vae-1"]


def test_what_else_differs_is_said(runs: Write, capsys: Output) -> None:
    a, b = seeds(make_bpd(), make_bpd())
    root = runs(a, dataclasses.replace(b, git_commit="a" * 40))
    main([str(root)])
    assert "seeds: vae (2 seeds): git commits ffffffffff, aaaaaaaaaa" in capsys.readouterr().out


def test_names_without_a_common_part_and_within_a_number() -> None:
    for names, label in ((("x", "y"), "x (2 seeds)"), (("vae-s10", "vae-s11"), "vae (2 seeds)")):
        a, b = seeds(make_bpd(), make_bpd())
        (row,) = section_of(dataclasses.replace(a, run_name=names[0]), dataclasses.replace(b, run_name=names[1])).rows
        assert row.label == label


def test_costs_are_means_of_what_was_measured() -> None:
    costs = [Cost(parameters=10, train_seconds=2.0), Cost(parameters=10, train_seconds=4.0), Cost(parameters=10)]
    records = [dataclasses.replace(r, cost=c) for r, c in zip(seeds(*[make_bpd()] * 3), costs, strict=True)]
    (row,) = section_of(*records).rows
    assert row.cost == Cost(parameters=10, train_seconds=3.0)


# ------------------------------------------------------------------ output


def test_a_score_that_not_all_have_says_how_many(runs: Write, capsys: Output) -> None:
    root = runs(*seeds([make_bpd(2.0), make_fd(5.0)], [make_bpd(2.2), make_fd(7.0)], [make_bpd(2.4)]))
    main([str(root), "--markdown"])
    out = capsys.readouterr().out
    assert "| = 2.20" not in out
    assert "<= 2.20 sd 0.20" in out
    assert "6.00 sd 1.41 [b] n=2" in out
    main([str(root), "--json"])
    (row,) = json.loads(capsys.readouterr().out)["sections"][0]["rows"]
    (bpd,), (fd,) = row["scores"]
    assert (bpd["n"], fd["n"]) == (3, 2)
    assert fd["sd"] == pytest.approx(math.sqrt(2), rel=1e-12)
    assert [run["scores"][0][0]["value"] for run in row["runs"]] == [2.0, 2.2, 2.4]
    assert row["seed"] is row["directory"] is None


def test_the_page_holds_the_runs_below_their_row(runs: Write, tmp_path: Path) -> None:
    root = runs(*seeds(make_bpd(2.0), make_bpd(2.2)))
    write_page(root, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count('<tr class="member">') == 2
    assert text.count('class="opener"') == 1
    assert "sd 0.14" in text
    assert "2 runs in 1 row" in text


def test_a_flagged_run_flags_the_row_by_name() -> None:
    heavy = dataclasses.replace(make_bpd(1.0), error=ErrorParts(pareto_k=0.9))
    section = section_of(*seeds(make_bpd(2.0), heavy), *seeds(make_bpd(3.0), make_bpd(3.0), name="b", model="B"))
    row = section.rows[0]
    ((score,),) = row.cells
    assert [reason.partition(":")[0] for reason in row.flags(score)] == ["vae-1"]
    assert score not in section.best[0]
    assert section.flagged[0].startswith("vae-1: bits/dim <= 1 (test, elbo): tail too heavy")


def test_values_without_a_finite_mean_stay_apart() -> None:
    rows = section_of(*seeds(make_fd(1.7e308), make_fd(-1.7e308), make_fd(1.7e308))).rows
    assert [row.label for row in rows] == ["vae-0", "vae-1", "vae-2"]


# ------------------------------------------------------------------ errors


def spread_of(*scores: Score) -> Spread:
    return Spread(tuple(Member(score, None, "") for score in scores))


def error_of(a: Sequence[Score], b: Sequence[Score]) -> float:
    """Error of the difference of two groups' means, as marks use it."""
    means = [dataclasses.replace(scores[0], value=spread_of(*scores).mean) for scores in (a, b)]
    spreads = {id(mean): spread_of(*scores) for mean, scores in zip(means, (a, b), strict=True)}
    return PairedErrors({}, spreads)(*means)


def test_a_likelihood_has_the_error_between_seeds_and_that_of_the_common_examples() -> None:
    a, b = [make_bpd(v, 0.03) for v in (2.0, 2.1, 2.3)], [make_bpd(v, 0.04) for v in (2.0, 2.1)]
    seeds_a, seeds_b = (statistics.variance([score.value for score in group]) for group in (a, b))
    expected = 2.26**2 * seeds_a / 3 + 0.03**2 + 6.98**2 * seeds_b / 2 + 0.04**2
    assert error_of(a, b) == pytest.approx(math.sqrt(expected), rel=1e-12)
    assert spread_of(*a).error() == pytest.approx(math.sqrt(seeds_a / 3 + 0.03**2), rel=1e-12)


def test_a_score_of_samples_has_no_error_in_common_and_at_least_what_was_measured() -> None:
    far, near = [make_fd(v, 0.1) for v in (5.0, 6.0, 7.0)], [make_fd(v, 0.3) for v in (5.0, 5.0, 5.0)]
    assert error_of(far, near) == pytest.approx(math.sqrt(2.26**2 / 3 + 0.3**2 / 3), rel=1e-12)


def test_three_seeds_of_equal_models_rarely_look_different() -> None:
    """Two standard errors of three values without Student's factor would be exceeded in 12 to 18% of cases."""
    rng, beyond, without = random.Random(0), 0, 0
    for _ in range(1500):
        shared = rng.gauss(0, 0.05)
        a, b = ([make_bpd(2 + shared + rng.gauss(0, 0.1), 0.0) for _ in range(3)] for _ in range(2))
        difference = abs(spread_of(*a).mean - spread_of(*b).mean)
        beyond += difference > 2 * error_of(a, b)
        without += difference > 2 * math.hypot(spread_of(*a).error() or 0, spread_of(*b).error() or 0)
    assert beyond / 1500 < 0.05
    assert without / 1500 > 0.08


def test_student_factors_fall_to_one() -> None:
    factors = [student_factor(count) for count in range(2, 200)]
    assert factors == sorted(factors, reverse=True)
    assert 1 < factors[-1] < 1.01


def test_of_paired_groups_the_examples_part_is_that_of_the_mean_differences(tmp_path: Path) -> None:
    rng = random.Random(0)
    hard = [rng.gauss(3, 0.5) for _ in range(200)]
    groups: list[list[tuple[Score, Path]]] = []
    nats: list[list[list[float]]] = []
    for name, shift in (("a", 0.0), ("b", 0.03)):
        groups.append([])
        nats.append([])
        for seed in range(2):
            values = [h + shift + rng.gauss(0, 0.05) for h in hard]
            folder = tmp_path / f"{name}{seed}"
            write_examples(folder / "v.csv", [ExampleNats(i, i, 64 * math.log(2) * v, None)
                                              for i, v in enumerate(values)])
            score = dataclasses.replace(make_bpd(statistics.mean(values), 0.04), per_example="v.csv")
            groups[-1].append((score, folder))
            nats[-1].append(values)
    spreads = [Spread(tuple(Member(score, folder, "") for score, folder in group)) for group in groups]
    means = [dataclasses.replace(group[0][0], value=s.mean) for group, s in zip(groups, spreads, strict=True)]
    found = PairedErrors({}, {id(m): s for m, s in zip(means, spreads, strict=True)})(*means)
    (a0, a1), (b0, b1) = nats
    examples = [(p + q - r - s) / 2 for p, q, r, s in zip(a0, a1, b0, b1, strict=True)]
    parts = [6.98**2 * (s.deviation or 0) ** 2 / 2 for s in spreads]
    assert found == pytest.approx(math.sqrt(sum(parts) + statistics.variance(examples) / 200), rel=1e-9)
