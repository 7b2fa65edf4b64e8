"""Bits per what: the record says it, columns print it, and older records still read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records.makers import FD, make_bpd, make_fd, make_record

from lit_gen.errors import UserError
from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.order import sort_sections
from lit_gen.leaderboard.table import Section
from lit_gen.leaderboard.terminal import as_json, markdown, terminal
from lit_gen.records.record import Record, Score, read_record, write_record
from lit_gen.records.score import default_metric

from .test_page import page_of


def make_jsd(value: float = 0.2, **fields: Any) -> Score:
    protocol = dataclasses.replace(FD, metric="jsd_3grams", extractor="3grams", **fields)
    return Score(name="jsd_3grams", value=value, standard_error=0.01, kind=None, protocol=protocol)


def section_of(*records: Record) -> Section:
    runs = [Run(record, Path(f"runs/{i}")) for i, record in enumerate(records)]
    (section,) = sort_sections(build_sections(runs), None)
    return section


def test_it_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd(), dimension="character"))
    assert json.loads(path.read_text())["dimension"] == "character"
    assert read_record(path).dimension == "character"


def test_records_from_before_still_read(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd()))
    tree = json.loads(path.read_text())
    assert tree.pop("dimension") == "dim"
    path.write_text(json.dumps(tree))
    assert read_record(path) == make_record(make_bpd())


@pytest.mark.parametrize("name", ["", "<b>", "two words"])
def test_it_is_a_word(name: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd()))
    path.write_text(path.read_text().replace('"dimension": "dim"', f'"dimension": "{name}"'))
    with pytest.raises(UserError, match="is not a word"):
        read_record(path)


def test_headers_and_units_name_it() -> None:
    section = section_of(make_record(make_bpd(), make_jsd(), dimension="character"))
    assert [(c.header, c.unit) for c in section.columns] == [
        ("bits/character", "bits/character"), ("JSD-3grams", "bits")
    ]  # fmt: skip
    for text in (terminal([section]), markdown([section])):
        assert "bits/character" in text
        assert "bits/dim" not in text
        assert "FID" not in text
    assert json.loads(as_json([section], []))["sections"][0]["columns"][0]["unit"] == "bits/character"


def test_cells_name_it_too(runs: Callable[..., Path]) -> None:
    page, _ = page_of(runs(make_record(make_bpd(2.1), make_jsd(), dimension="character")))
    tips = [attributes["title"] or "" for attributes in page.all("span") if "title" in attributes]
    assert [tip.split(";")[0] for tip in tips] == ["<= 2.10 +- 0.01 bits/character", "0.200 +- 0.010 bits"]
    assert not any("bits/dim" in text for text in page.texts)


def test_nats_and_pure_numbers_have_no_dimension() -> None:
    assert default_metric("nll", "byte") == default_metric("nll")
    assert default_metric("fd_logmel", "sample") == default_metric("fd_logmel")


def test_one_name_may_stand_for_bytes_and_characters() -> None:
    """A user's own text, once as the one and once as the other: different content, so different columns."""
    section = section_of(
        make_record(make_bpd(2.0), run_name="a", dimension="character"),
        make_record(make_bpd(1.9, data_hash="b" * 64), run_name="b", dimension="byte"),
    )
    assert [column.label for column in section.columns] == ["bits/character", "bits/byte"]


def test_an_older_record_of_the_same_data_learns_it() -> None:
    for records in ([0, 1], [1, 0]):
        both = [
            make_record(make_bpd(2.0), run_name="old"),
            make_record(make_bpd(1.9), run_name="new", dimension="sample"),
        ]
        (column,) = section_of(*(both[i] for i in records)).columns
        assert column.label == "bits/sample"


def test_it_can_be_sorted_by() -> None:
    runs = [
        Run(make_record(make_bpd(v), run_name=n, dimension="byte"), Path(n)) for v, n in ((2.0, "b"), (1.0, "a"))
    ]
    (section,) = sort_sections(build_sections(runs), "bits/byte")
    assert [row.label for row in section.rows] == ["a", "b"]


def test_a_score_that_only_others_have_is_not_available() -> None:
    section = section_of(
        make_record(make_bpd(), make_jsd(), run_name="both"), make_record(make_bpd(2.5), run_name="lonely")
    )
    (line,) = (line for line in terminal([section]).splitlines() if " lonely " in line)
    assert line.count("n/a") == 1
    assert [len(row.cells[1]) for row in section.rows] == [1, 0]


def test_a_divergence_says_of_what() -> None:
    known = default_metric("jsd_3grams")
    assert (known.label, known.unit, known.higher_is_better) == ("JSD-3grams", "bits", False)
    with pytest.raises(ValueError, match="metric 'jsd': a divergence says of what, as 'jsd_3grams'"):
        default_metric("jsd")
    with pytest.raises(ValueError, match="claims features of '3grams'"):
        make_jsd_of("2grams")
    assert make_fd().unit == ""


def make_jsd_of(extractor: str) -> Score:
    protocol = dataclasses.replace(FD, metric="jsd_3grams", extractor=extractor)
    return Score(name="jsd_3grams", value=0.2, standard_error=None, kind=None, protocol=protocol)
