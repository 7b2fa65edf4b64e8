"""What a screen and a log file show."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import options
from conftest import REPO

from lit_gen.cli import process
from lit_gen.cli.process import run_command
from lit_gen.errors import UserError
from lit_gen.fit import main as fit_main
from lit_gen.screen import bars
from lit_gen.screen.bars import LogLines, counted, open_bar
from lit_gen.screen.quietness import SETTINGS


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(bars, "time", found)
    return found


def test_a_log_file_gets_a_line_each_minute_and_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    bar = open_bar("training", 1000, "examples")
    assert isinstance(bar, LogLines)
    for _ in range(100):
        clock.now += 2.5
        if bar.update(10):
            bar.set_postfix({"loss": "3.2"})
    bar.close()
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 240 of 1,000 examples (24%), 0:01:00, 4/s, 0:03:10 left, loss=3.2"
    assert len(lines) == 5  # after 60, 120, 180 and 240 seconds, and at the end
    assert lines[-1] == "training: 1,000 of 1,000 examples (100%), 0:04:10, 4/s, loss=3.2"


def test_a_resumed_run_counts_its_rate_from_where_it_began(clock: Clock) -> None:
    bar = LogLines("training", 1000, "examples", initial=500)
    bar.update(100)
    assert bar.line(10.0) == "training: 600 of 1,000 examples (60%), 0:00:10, 10/s, 0:00:40 left"


def test_short_work_leaves_no_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    assert [len(block) for block in counted([[1, 2], [3]], "decoding", 3, "images")] == [2, 1]
    assert capsys.readouterr().err == ""
    blocks = counted([[1], [2], [3]], "decoding", 3, "images")
    for _ in blocks:
        clock.now += 61
    assert capsys.readouterr().err.splitlines()[0].startswith("decoding: 1 of 3 images (33%), 0:01:01")


def test_on_a_terminal_a_bar_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    bar = open_bar("training", 10, "examples", interval=1e-9)
    bar.update(5)
    bar.close()
    assert "\rtraining:  50%" in screen.getvalue()
    assert "\x1b[3" not in screen.getvalue(), "no colours"


def test_quiet_commands_show_no_bars_and_pass_their_other_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def command(args: list[str]) -> None:
        seen.extend(args)
        open_bar("training", 10, "examples").close()
        bars.write_line("device cpu")
        raise UserError("an error is shown all the same")

    try:
        assert run_command(command, ["--quiet", "a", "--b"]) == 2
    finally:
        SETTINGS.quiet = False
    assert seen == ["a", "--b"]
    assert capsys.readouterr().err == "error: an error is shown all the same\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GPU available: False, used: False", False),
        ("TPU available: False, using: 0 TPU cores", False),
        ("Seed set to 0", False),
        ("`Trainer.fit` stopped: `max_epochs=1` reached.", False),
        ("data 'mine': 3 images are left out", True),
    ],
)
def test_lightnings_hints_are_left_out(text: str, shown: bool) -> None:
    record = logging.LogRecord("lightning", logging.INFO, "", 0, text, None, None)
    assert process._News().filter(record) is shown


def fit(folder: Path, *more: str) -> list[str]:
    kept = [option for option in options("vae", folder, *more) if not option.endswith("progress_bar=false")]
    return [sys.executable, "-m", "lit_gen.fit", *kept]


def test_a_run_in_a_log_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(fit_main, fit(tmp_path)[3:]) == 0
    found = SimpleNamespace(**dict(zip(("stdout", "stderr"), capfd.readouterr(), strict=True)))
    assert not {"\r", "\x1b"} & set(found.stderr + found.stdout)
    lines = found.stderr.splitlines()
    (device,) = (line for line in lines if line.startswith("device "))
    assert device.endswith(", precision 32-true")
    (training,) = (line for line in lines if line.startswith("training: "))
    assert "1,500 of 1,500 examples (100%)" in training
    assert "epoch=" in training
    assert "step=30" in training
    assert not [line for line in lines if "available" in line or "Seed set" in line]
    following = [line.split(maxsplit=1)[1] for line in found.stdout.splitlines() if line.startswith("next ")]
    assert len(following) == 2
    for command in following:
        assert command.split()[0] == "lit-gen"
        assert Path(command.split()[2]).is_file(), "the path can be copied"


@pytest.mark.slow
def test_a_run_on_a_terminal_and_a_quiet_one(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        fit(tmp_path, "--run_name=a"), stdout=subprocess.DEVNULL, stderr=theirs, cwd=REPO,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the terminal is closed
            break
        if not part:
            break
        shown += part
    assert process.wait() == 0
    assert b"\rtraining: 100%" in shown
    assert b"\x1b[3" not in shown
    quiet = subprocess.run(
        [*fit(tmp_path, "--run_name=b"), "--quiet"], capture_output=True, text=True, cwd=REPO, timeout=300
    )
    assert quiet.returncode == 0
    assert quiet.stderr == ""
    assert "bits/dim" in quiet.stdout
