"""Tests of the file of per-example values."""

from pathlib import Path

import pytest

from lit_gen.errors import UserError
from lit_gen.records.per_example import ExampleNats, read_examples, write_examples

VALUES = [ExampleNats(0, 0, 1 / 3, 0.1), ExampleNats(7, 3, -2.5e-300, None), ExampleNats(8, 3, 1e300, 0.0)]


@pytest.mark.parametrize("name", ["values.csv.gz", "values.csv"])
def test_values_are_read_as_they_were_written_to_the_last_digit(tmp_path: Path, name: str) -> None:
    write_examples(tmp_path / name, VALUES)
    assert read_examples(tmp_path / name) == VALUES


def test_equal_values_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        write_examples(tmp_path / name, VALUES)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("index,nats\n0,1\n", "its first line is not index,group,nats"),
        ("index,group,nats,draws_variance\n0,0,inf,\n", "example 0 has inf nats"),
        ("index,group,nats,draws_variance\n0,0\n", "not enough values"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, content: str, part: str) -> None:
    path = tmp_path / "values.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=r"values\.csv") as raised:
        read_examples(path)
    assert part in str(raised.value)


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "values.csv.gz"
    write_examples(path, VALUES)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(UserError, match=r"values\.csv\.gz"):
        read_examples(path)
