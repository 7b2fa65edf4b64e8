"""``docs/digits.ipynb``: its cells run one after another, outside the checkout, with a small budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO
from PIL import Image

NOTEBOOK = json.loads((REPO / "docs/digits.ipynb").read_text())
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
BUDGET = "examples = 250_000"


def test_it_is_committed_without_outputs_and_has_ten_cells() -> None:
    assert len(CELLS) == 10
    assert BUDGET in CELLS[0]
    for cell in NOTEBOOK["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def value_of(cell: str, names: dict[str, Any]) -> Any:
    """Runs a cell; returns the value of its last line if that is an expression, as a notebook shows it."""
    *lines, last = cell.splitlines()
    try:
        code = compile(last, "cell", "eval")
    except SyntaxError:
        exec(compile(cell, "cell", "exec"), names)
        return None
    exec(compile("\n".join(lines), "cell", "exec"), names)
    return eval(code, names)


def test_its_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = [value_of(cell.replace(BUDGET, "examples = 20_000"), names) for cell in CELLS]
    printed = capsys.readouterr().out
    assert isinstance(shown[4], Image.Image)
    assert "bits/dim" in printed
    model, run, x = names["model"], names["run"], names["x"]
    recorded = next(s.value for s in run.record.scores if s.name == "bpd" and s.protocol.split == "test")
    assert model.bits_per_dim(x).mean().item() == pytest.approx(recorded, rel=1e-6)
    assert model.bits_per_dim(names["shuffled"]).mean() > model.bits_per_dim(x).mean() + 0.5
    assert len(names["table"]) == len(run.record.scores)
    assert (tmp_path / "runs/leaderboard.html").is_file()
