"""The cache entry appears whole or not at all, whoever else writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lit_gen.data.cache import SplitWriter, atomic_folder


def test_appended_file_is_a_plain_npy(tmp_path: Path):
    rows = np.arange(1000 * 6, dtype=np.int64).reshape(1000, 2, 3)
    with SplitWriter(tmp_path / "a.npy", (2, 3), "<i8") as writer:
        for row in rows:
            writer.append(row)
    assert np.array_equal(np.load(tmp_path / "a.npy"), rows)
    assert np.array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), rows)


def test_empty_file_keeps_its_shape(tmp_path: Path):
    with SplitWriter(tmp_path / "a.npy", (1, 2), "|u1"):
        pass
    assert np.load(tmp_path / "a.npy").shape == (0, 1, 2)


def test_failure_leaves_nothing(tmp_path: Path):
    def interrupted() -> None:
        with atomic_folder(tmp_path / "entry") as part:
            (part / "a").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_the_first_to_finish_wins(tmp_path: Path):
    with atomic_folder(tmp_path / "entry") as slow:
        (slow / "a").write_text("slow")
        with atomic_folder(tmp_path / "entry") as fast:
            (fast / "a").write_text("fast")
        assert not (tmp_path / "entry" / "b").exists()
    assert (tmp_path / "entry" / "a").read_text() == "fast"
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]
