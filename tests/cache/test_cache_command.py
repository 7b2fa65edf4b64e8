"""``lit-gen cache`` lists and clears the reference statistics, and disturbs nobody who reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lit_gen.cache.__main__ import main
from lit_gen.cli.process import run_command
from lit_gen.metrics import FrechetDistance, LogMel, MnistCNN, reference_summaries


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reference folder of a cache with one file of each of two spaces, and other data beside it."""
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path))
    (tmp_path / "decoded").mkdir()
    (tmp_path / "decoded" / "train.npy").write_bytes(b"data")
    for space, shape in ((MnistCNN(), (30, 1, 8, 8)), (LogMel(), (30, 1, 512))):
        x = torch.zeros(shape, dtype=torch.uint8)
        reference_summaries(x, space, [FrechetDistance], "x", tmp_path / "reference")
    return tmp_path / "reference"


def test_it_lists_and_removes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines[:2]] == ["logmel", "mnist_cnn"]
    assert lines[2].startswith("2 files, ")
    assert lines[2].endswith("nothing was removed: --delete removes them")
    assert len(list(folder.iterdir())) == 2


def test_it_removes_one_space_or_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["logmel", "--delete"])
    assert [path.name.split("-")[0] for path in folder.iterdir()] == ["mnist_cnn"]
    assert "removed 1 file" in capsys.readouterr().out
    main(["--delete"])
    assert not list(folder.iterdir())
    assert (folder.parent / "decoded" / "train.npy").is_file()
    main([])
    assert "nothing is kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["inception"], "nothing is kept for a feature space 'inception'"),
        (["--remove"], "cache takes names of feature spaces and --delete, but was given '--remove'"),
    ],
)
def test_wrong_input_is_one_line(
    folder: Path, args: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(main, args) == 2
    assert line in capsys.readouterr().err.splitlines()[-1]
    assert len(list(folder.iterdir())) == 2


def test_a_file_that_is_removed_or_damaged_is_computed_again(folder: Path) -> None:
    x = torch.zeros(30, 1, 8, 8, dtype=torch.uint8)
    (path,) = folder.glob("mnist_cnn-*.pt")
    whole = path.read_bytes()
    for content in (None, whole[: len(whole) // 2]):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        (summary,) = reference_summaries(x, MnistCNN(), [FrechetDistance], "x", folder)
        assert summary is not None
        assert float(summary["count"]) == 30
        assert path.read_bytes() == whole
