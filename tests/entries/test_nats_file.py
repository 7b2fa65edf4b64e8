"""Likelihoods of other programs, one for each example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lit_gen.entries.nats_file import read_nats
from lit_gen.errors import UserError
from lit_gen.records.per_example import ExampleNats, write_examples

NATS = [3.5, 1.25, 2.0]


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(NATS))
    (tmp_path / "b.txt").write_text("3.5\n1.25\n2.0\n")
    (tmp_path / "c.csv").write_text("name,nats,index\nx,2.0,2\ny,3.5,0\nz,1.25,1\n")
    write_examples(tmp_path / "d.csv.gz", [ExampleNats(i, i, NATS[i], None) for i in (1, 0, 2)])
    for path in tmp_path.iterdir():
        assert read_nats(path).tolist() == NATS, path.name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no values"), ("1.0\nnan\n", "example 1"), ("1.0\ninf\n", "example 1"), ("one\n", "one"),
        ("index,nats\n0,1\n0,2\n", "each once"), ("index,nats\n1,1\n2,2\n", "0 to 1"), ("1,2\n", "several columns"),
        ("index,nats\n0\n", "line 2 has no value"),
    ],
)
def test_wrong_files_are_rejected(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "n.csv").write_text(text)
    with pytest.raises(UserError, match="--nats=") as caught:
        read_nats(tmp_path / "n.csv")
    assert says in str(caught.value)


def test_a_matrix_is_rejected(tmp_path: Path) -> None:
    np.save(tmp_path / "n.npy", np.zeros((2, 2)))
    with pytest.raises(UserError, match=r"numbers \[N\]"):
        read_nats(tmp_path / "n.npy")
