"""Which scores share a column: of both schema versions, with nulls in their protocols, of metrics nobody knew."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records.makers import OTHER, make_bpd, make_fd, make_record
from records.test_growth import VERSION_1, make_novel

from lit_gen.leaderboard.__main__ import main
from lit_gen.leaderboard.collect import Run, find_runs
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.page import write_page
from lit_gen.leaderboard.table import Section
from lit_gen.leaderboard.terminal import terminal
from lit_gen.records.record import Record, Score, read_record, write_record

Write = Callable[..., Path]
Output = pytest.CaptureFixture[str]


def section_of(*records: Record, strict: bool = False) -> Section:
    (section,) = build_sections([Run(record, Path(f"{i}")) for i, record in enumerate(records)], strict=strict)
    return section


def values(section: Section) -> list[list[list[float]]]:
    """The values in each cell, row by row."""
    return [[[score.value for score in cell] for cell in row.cells] for row in section.rows]


def test_version_1_stands_beside_version_2(tmp_path: Path, capsys: Output) -> None:
    old = read_record(VERSION_1)
    bpd, fd = old.scores
    scores = [dataclasses.replace(bpd, value=2.0), dataclasses.replace(fd, value=30.0)]
    write_record(tmp_path / "new" / "record.json", dataclasses.replace(old, run_name="new", scores=scores))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "record.json").write_bytes(VERSION_1.read_bytes())
    (section,) = build_sections(find_runs(tmp_path).runs)
    assert [column.header for column in section.columns] == ["bits/dim", "FD-mnist_cnn"]
    assert [len(cell) for row in (*section.rows, *section.baselines) for cell in row.cells] == [1] * 4 + [1, 0, 0, 1]
    assert main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "examples seen" in out
    assert "2.00k" in out
    assert out.count("baseline  ") == 2
    assert err == ""


def test_a_baseline_is_shown_once_whether_or_not_its_protocol_states_a_seed() -> None:
    uniform = {"estimator": "uniform noise", "weights": "none", "ema_halflife_examples": None}
    stated, free = make_bpd(4.0, **uniform), make_bpd(4.0, **uniform, seed=None, precision=None)
    records = [dataclasses.replace(make_record(make_bpd(2.0)), baselines=[baseline]) for baseline in (stated, free)]
    (row,) = section_of(*records).baselines
    assert [[score.value for score in cell] for cell in row.cells] == [[4.0]]


@pytest.mark.parametrize("field", ["seed", "split", "precision"])
@pytest.mark.parametrize("strict", [False, True])
def test_null_shares_the_column_of_every_value(field: str, strict: bool) -> None:
    here, there, free = make_bpd(2.0), make_bpd(3.0, **{field: OTHER[field]}), make_bpd(1.0, **{field: None})
    assert values(section_of(make_record(here), make_record(free), strict=strict)) == [[[2.0]], [[1.0]]]
    section = section_of(make_record(free), make_record(here), make_record(there), strict=strict)
    assert [list(column.differs) for column in section.columns] == [[field], [field]]
    assert values(section)[0] == [[1.0], [1.0]]
    assert sorted([sorted(row) for row in values(section)[1:]]) == [[[], [2.0]], [[], [3.0]]]
    assert [sum(map(bool, cells)) for cells in zip(*values(section)[1:], strict=True)] == [1, 1]


def test_null_alone_is_no_difference() -> None:
    section = section_of(make_record(make_bpd(seed=None), make_bpd(seed=None, num_examples=50)), make_record())
    assert [column.qualifier for column in section.columns] == ["[num_examples=50]", "[num_examples=447]"]
    section = section_of(make_record(make_bpd(seed=None), make_bpd(num_examples=50)))
    assert [column.qualifier for column in section.columns] == ["[num_examples=50]", "[num_examples=447]"]


def test_nulls_never_join_what_differs() -> None:
    """Each alone fits the first, but two of them not each other."""
    scores = [make_bpd(1.0, seed=None), make_bpd(2.0, precision=None), make_bpd(3.0, precision=None, seed=1),
              make_bpd(4.0, seed=None, precision="bf16-mixed")]
    section = section_of(*(make_record(score, run_name=f"r{i}") for i, score in enumerate(scores)))
    for i in range(len(section.columns)):
        protocols = [score.protocol for row in section.rows for score in row.cells[i]]
        for name in ("seed", "precision"):
            assert len({getattr(p, name) for p in protocols} - {None}) <= 1
    assert all(any(row.cells) for row in section.rows)


def test_a_baseline_that_depends_on_nothing_stands_in_every_column() -> None:
    noise = make_bpd(4.09, 0.0, "exact", weights="none", ema_halflife_examples=None, estimator="uniform noise",
                     draws=None, seed=None, precision=None, split=None)
    section = section_of(make_record(make_bpd(), make_bpd(seed=1), make_bpd(precision="bf16-mixed"), baselines=[noise]))
    assert len(section.columns) == 3
    assert [cell == (noise,) for cell in section.baselines[0].cells] == [True] * 3


def test_a_metric_of_any_name_is_shown_as_it_says(tmp_path: Path) -> None:
    scores = [make_novel(label="novelty", unit="%", higher_is_better=True, decimals=1)]
    better = dataclasses.replace(scores[0], value=0.75)
    root = tmp_path / "runs"
    for name, score in (("a", scores[0]), ("b", better)):
        write_record(root / name / "record.json", make_record(make_bpd(), score, run_name=name))
    (section,) = build_sections(find_runs(root).runs)
    column = section.columns[-1]
    assert (column.header, column.unit, column.higher_is_better, column.decimals) == ("novelty", "%", True, 1)
    assert section.best[-1] == {better}
    assert "0.8*" in terminal([section])
    write_page(root, root / "page.html")
    assert "higher is better" in (root / "page.html").read_text()


def contradicting(**fields: Any) -> tuple[Score, Score]:
    stated: dict[str, Any] = {"label": "novelty", "unit": "%", "higher_is_better": True}
    return make_novel(**stated), make_novel(**(stated | fields))


@pytest.mark.parametrize("fields", [{"higher_is_better": False}, {"unit": "bits"}])
def test_what_contradicts_its_column_is_left_out_with_a_word(fields: Any, runs: Write, capsys: Output) -> None:
    good, odd = contradicting(**fields)
    root = runs(make_record(good, run_name="a"), make_record(odd, run_name="odd"), make_record(good, run_name="c"))
    assert main([str(root), "--html", str(root / "page.html"), "--json"]) == 0
    out, err = capsys.readouterr()
    (line,) = (line for line in err.splitlines() if line.startswith("left out"))
    assert line.startswith("left out: odd: score novelty is in ")
    tree = json.loads(out)
    assert tree["left_out"] == [line.removeprefix("left out: ")]
    assert [len(row["scores"][0]) for row in tree["sections"][0]["rows"]] == [1, 1, 0]
    assert "Left out: odd: score novelty" in (root / "page.html").read_text()


def test_unknown_keys_are_named_once(runs: Write, capsys: Output) -> None:
    root = runs(
        make_record(make_bpd(), extra={"energy": 1, "\033[2J": 2}), make_record(make_bpd(extra={"resolution": 32})),
        make_record(make_fd(), extra={"energy": 3}),
    )
    assert main([str(root)]) == 0
    err = capsys.readouterr().err
    assert err == ("note: keys that this version of lit_gen does not know are not shown: energy (2 of 3 records), "
                   "?[2J (1 of 3 records), scores[].protocol.resolution (1 of 3 records)\n")
    many = dataclasses.replace(make_record(make_bpd()), extra={f"k{i}": i for i in range(1000)})
    (remark,) = find_runs(runs(many)).remarks
    assert remark.endswith(" and 997 more")


def test_a_record_of_a_later_version_is_named_and_the_others_stay(runs: Write, capsys: Output) -> None:
    root = runs(make_record(make_bpd(2.0)), make_record(make_bpd(3.0)))
    path = root / "run0" / "record.json"
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 3'))
    assert main([str(root)]) == 0
    out, err = capsys.readouterr()
    assert err == (f"left out: {path}: schema version 3 is unknown; this version of lit_gen reads 1 to 2\n")
    assert "<= 3.00" in out


def test_a_label_cannot_steer_the_terminal() -> None:
    score = make_novel(label="a|b<i>", unit="", higher_is_better=True)
    text = terminal([section_of(make_record(score, make_fd(transform="\033[2J"), make_fd()))])
    assert "\033" not in text
