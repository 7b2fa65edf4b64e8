"""Any record that can be made returns as it was; any file in its place is a record or an error of one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import JSON, lengths

from lit_gen.errors import UserError
from lit_gen.records.record import Record, read_record, read_with_reasons, write_record

from .strategies import Tree, changed, records, tree_of


@lengths()
def test_a_record_returns_as_it_was_written(length: settings, tmp_path: Path) -> None:
    path = tmp_path / "record.json"

    @length
    @given(records())
    def holds(record: Record) -> None:
        write_record(path, record)
        assert read_with_reasons(path) == (record, [])
        text = path.read_text()
        write_record(path, read_record(path))
        assert path.read_text() == text

    holds()


@lengths()
def test_a_record_with_one_changed_value_is_read_or_is_an_error_of_one_line(length: settings, tmp_path: Path) -> None:
    path = tmp_path / "record.json"

    @length
    @given(records().map(tree_of).flatmap(changed))
    def holds(tree: Tree) -> None:
        path.write_text(json.dumps(tree))
        _read_or_one_line(path)

    holds()


@lengths()
def test_any_json_is_read_or_is_an_error_of_one_line(length: settings, tmp_path: Path) -> None:
    path = tmp_path / "record.json"

    @length
    @given(JSON, st.sampled_from([None, 1, 2]))
    def holds(tree: object, version: int | None) -> None:
        if isinstance(tree, dict) and version is not None:
            tree = {"schema_version": version, **tree}
        path.write_text(json.dumps(tree))
        _read_or_one_line(path)

    holds()


def _read_or_one_line(path: Path) -> None:
    try:
        record, reasons = read_with_reasons(path)
    except UserError:
        with pytest.raises(UserError) as caught:
            read_record(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value).splitlines()) == 1
        return
    assert all(len(reason.splitlines()) == 1 for reason in reasons)
    # What was read can be written, and is then the same.
    write_record(path, record)
    assert read_with_reasons(path) == (record, [])
