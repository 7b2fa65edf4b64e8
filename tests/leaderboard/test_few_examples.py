"""Among few examples KID stands before the Frechet distance, whose note is in the footnotes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from records.makers import make_fd, make_record

from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.terminal import terminal
from lit_gen.records.record import read_record, write_record

NOTE = "300 examples are few for 1,280 features: much of the distance is bias"
KID = {"metric": "kid_mnist_cnn"}


@pytest.mark.parametrize(("note", "columns"), [(NOTE, ["kid", "fd"]), ("", ["fd", "kid"])])
def test_kid_stands_first_where_the_distance_has_a_note(note: str, columns: list[str], tmp_path: Path) -> None:
    record = make_record(dataclasses.replace(make_fd(81.6), note=note), make_fd(0.002, 0.001, **KID))
    write_record(tmp_path / "record.json", record)
    back = read_record(tmp_path / "record.json")
    assert back.scores[0].note == note
    (section,) = build_sections([Run(back, tmp_path)])
    assert [column.metric.partition("_")[0] for column in section.columns] == columns
    assert (NOTE in terminal([section])) is bool(note)


def test_one_distance_without_a_note_keeps_its_place(tmp_path: Path) -> None:
    few = make_record(dataclasses.replace(make_fd(81.6), note=NOTE), make_fd(0.002, 0.001, **KID))
    many = make_record(make_fd(8.0), run_name="many")
    (section,) = build_sections([Run(few, tmp_path / "a"), Run(many, tmp_path / "b")])
    assert [column.metric for column in section.columns] == ["fd_mnist_cnn", "kid_mnist_cnn"]
