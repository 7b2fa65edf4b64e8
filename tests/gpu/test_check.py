"""The check of a GPU runs at reduced size on a CPU, so that it is right when a GPU is at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from gpu import check, rows
from gpu.setups import CONFIGS, ONE_EACH, draws_of_the_cpu, setups
from gpu.steps import Flops


def run(tmp_path: Path, *only: str, minutes: int = 5) -> tuple[int, dict[str, dict[str, object]]]:
    out = tmp_path / "check.json"
    code = check.main(["--device=cpu", f"--minutes={minutes}", f"--out={out}", "--only", *only])
    found = [json.loads(line) for line in out.read_text().splitlines()] if out.is_file() else []
    return code, {row["row"]: row for row in found}


def test_rows_are_written_as_they_are_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("noise 250 x 8", "likelihood conv_vae", "sample pixelcnn", "sync vae", "train 32-true gan")
    code, found = run(tmp_path, *names)
    assert code == 0, found
    assert list(found) == [
        "noise 250 x 8", "likelihood conv_vae", "sample pixelcnn", "sync vae", "train 32-true gan digits"
    ]
    assert found["likelihood conv_vae"]["relative difference"] == 0
    assert found["likelihood conv_vae"]["equal integers"] == 1
    assert found["sample pixelcnn"]["evaluations"] == 64
    assert found["train 32-true gan digits"]["from the CPU"] == 0
    assert "needs CUDA" in str(found["sync vae"]["skipped"])
    assert "0 rows failed, 0 rows left out" in capsys.readouterr().out


def test_a_row_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(device: str, number: int) -> rows.Row:
        raise AssertionError(f"features differ on {device}")

    monkeypatch.setattr(rows, "features", broken)
    code, found = run(tmp_path, "features", "noise 250 x 8")
    assert code == 1
    assert found["features"]["failed"] == "AssertionError: features differ on cpu"
    assert "failed" not in found["noise 250 x 8"]


def test_no_row_begins_after_the_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "train", minutes=0) == (0, {})
    found = re.search(r"0 rows failed, (\d+) rows left out", capsys.readouterr().out)
    assert found
    assert int(found[1]) >= 60  # more with each file of configs/families


def test_every_config_of_a_family_is_checked() -> None:
    assert {setup.name for setup in setups("cuda")} == {file.stem for file in (CONFIGS / "families").rglob("*.yaml")}
    assert set(ONE_EACH) <= {setup.name for setup in setups("cuda")}


def test_flops_are_those_of_the_products() -> None:
    a, b = torch.randn(5, 7, requires_grad=True), torch.randn(7, 3)
    with Flops() as counter:
        (a @ b).sum().backward()
    assert counter.total == 2 * (2 * 5 * 7 * 3)


def test_draws_of_the_cpu_are_moved() -> None:
    with draws_of_the_cpu():
        drawn = torch.randn(3, device="meta")
        assert torch.rand_like(drawn.new_empty(2, device="cpu")).device.type == "cpu"
    assert drawn.device.type == "meta"
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    with draws_of_the_cpu():
        assert torch.equal(torch.randn(3, device="cpu"), expected)


@pytest.mark.slow
def test_all_rows(tmp_path: Path) -> None:
    code, found = run(tmp_path, "noise", "features", "likelihood", "train", "resume", "clip", "sample", minutes=60)
    assert code == 0, {name: row["failed"] for name, row in found.items() if "failed" in row}
