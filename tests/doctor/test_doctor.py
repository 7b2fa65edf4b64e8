"""``lit-gen doctor``: finds what is off, says what to do, and reports nothing private."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lit_gen.cli.process import run_command
from lit_gen.doctor import devices, findings, places, software
from lit_gen.doctor.__main__ import main
from lit_gen.doctor.findings import Finding


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_SECONDS", 0.01)
    monkeypatch.setattr(devices.seconds, "__defaults__", (0.01,))


def test_all_checks_run_here_and_each_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, []) in (0, 1)
    lines = capsys.readouterr().out.splitlines()
    topics = {line[2:15].strip() for line in lines if line[0] in "+-!"}
    wanted = {"python", "torch", "gpu", "threads", "bf16-mixed", "memory", "runs", "cache", "data", "MnistCNN", "W&B"}
    assert wanted <= topics
    assert "check" not in topics, "a check failed"
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line[0] in "-!":
            assert below.startswith(" " * 16), f"no advice: {line}"


def test_the_report_holds_nothing_private(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ada-lovelace")
    monkeypatch.setenv("LOGNAME", "ada-lovelace")
    monkeypatch.setenv("HOME", "/home/ada-lovelace")
    monkeypatch.setattr("socket.gethostname", lambda: "engine7.example.org")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("WANDB_MODE", "0123456789abcdef")  # an error message would repeat it
    monkeypatch.setenv("LIT_GEN_DATA", "/home/ada-lovelace/secret-project")
    assert run_command(main, ["--report"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("```text\n")
    assert torch.__version__.split("+")[0] in text
    for private in ("ada-lovelace", "engine7", "secret-project", "0123456789abcdef", "/home", str(Path.home())):
        assert private not in text, private


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see /data/clients/acme/file.pt now", "see <path> now"),
        ("https://user:pass@host/x failed", "<address> failed"),
        ("C:\\Users\\me\\x.pt", "<path>"),
        ("15.3 GiB free, 1/2 of it", "15.3 GiB free, 1/2 of it"),
        ("Python 3.11.7, Linux x86_64", "Python 3.11.7, Linux x86_64"),
    ],
)
def test_paths_and_addresses_are_replaced(text: str, shown: str) -> None:
    assert findings.without_private(text) == shown


def of(check: object) -> Finding:
    return next(iter(check()))  # type: ignore[operator]


def test_what_is_off_has_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "free_memory", lambda: 2**20)
    assert of(places.memory).state == "note"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    assert {found.state for found in places.disks()} == {"note"}
    assert all("lit-gen clean" in found.advice for found in places.disks())
    monkeypatch.setenv("LIT_GEN_DATA", str(tmp_path / "nowhere"))
    assert of(places.data).state == "wrong"
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("LIT_GEN_DATA", str(tmp_path))
    assert of(places.data).text == "LIT_GEN_DATA holds 1 folders of data"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    assert "OMP_NUM_THREADS=" in of(devices.threads).advice


def test_packages_outside_their_range_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_ranges", lambda: {"torch": ">=99", "numpy": ">=2"})
    found = {finding.topic: finding for finding in software.versions()}
    assert (found["torch"].state, found["torch"].advice) == ("wrong", 'pip install "torch>=99"')
    assert found["numpy"].state == "ok"


def test_a_check_that_fails_is_a_line() -> None:
    def broken() -> Iterator[Finding]:
        """Looks at the moon."""
        raise OSError("no moon")
        yield

    (found,) = findings.found_by([broken])
    assert (found.state, found.text) == ("wrong", "looks at the moon: OSError: no moon")


def test_advice_on_precision_follows_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products take 3 s in float32 and 1 s in bfloat16, convolutions 1 s in both."""
    times = iter([3.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr(devices, "seconds", lambda step, device: next(times))
    found = of(devices.precision)
    assert "3.0 times as fast in matrix products, 1.0 times as fast in convolutions" in found.text
    assert found.advice.startswith("--trainer.precision=bf16-mixed for models of matrix products")


def test_the_time_of_a_step_is_measured() -> None:
    net, x = nn.Linear(400, 400), torch.ones(400, 400)
    one = devices.seconds(lambda: net(x).sum().backward(), torch.device("cpu"), 0.1)
    ten = devices.seconds(lambda: [net(x).sum().backward() for _ in range(10)], torch.device("cpu"), 0.1)
    assert ten / one > 3


def test_other_arguments_are_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, ["everything"]) == 2
    assert "doctor takes --report alone" in capsys.readouterr().err
