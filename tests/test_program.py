"""``lit-gen`` and ``python -m lit_gen``: one program that starts every command."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import options, the_record
from conftest import REPO
from test_packaging import PROJECT

import lit_gen
from lit_gen.__main__ import COMMANDS, main
from lit_gen.cli.process import run_command
from lit_gen.stopping.stops import SIGNALS

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPO)}


def script(folder: Path) -> Path:
    """The file that pip installs for the entry point of pyproject.toml."""
    module, function = PROJECT["scripts"]["lit-gen"].split(":")
    file = folder / "lit-gen"
    file.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    return file


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=300, cwd=REPO, env=ENVIRONMENT
    )


def stderr_of(args: list[str], exit_code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """What the program prints on stderr, on one line, when it ends with an exit code."""
    assert run_command(main, args) == exit_code
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize("args", [[], ["help"], ["--help"], ["-h"]], ids=" ".join)
def test_help_lists_every_command_and_what_to_type_first(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, args) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, (_, what) in COMMANDS.items():
        assert any(line.split() == [name, *what.split()] for line in lines), name
    (first,) = (line for line in lines if line.startswith("  lit-gen fit --config "))
    assert (REPO / first.split()[-1]).is_file()


def test_every_command_has_a_main_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """``fit`` and ``leaderboard`` end their help by SystemExit, as argparse does."""
    for name in COMMANDS:
        with contextlib.suppress(SystemExit):
            assert run_command(main, ["help", name]) == 0
        module = COMMANDS[name][0].removesuffix(".__main__")
        assert f"python -m {module}" in capsys.readouterr().out.splitlines()[0]


def test_every_module_that_can_be_run_is_a_command() -> None:
    packages = {file.parent.name for file in (REPO / "lit_gen").glob("*/__main__.py")}
    assert {module.split(".")[1] for module, _ in COMMANDS.values()} == {"fit", "evaluate", *packages}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, ["--version"]) == 0
    assert capsys.readouterr().out == f"lit_gen {lit_gen.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("fti", "did you mean 'fit'?"), ("--hlep", "did you mean '--help'?"), ("zzz", "commands are fit, evaluate, ")],
)
def test_misspelt_command_is_one_line(typed: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = stderr_of([typed], 2, capsys)
    assert line.startswith(f"error: no command '{typed}'; ")
    assert hint in line


def test_errors_of_a_command_keep_their_exit_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "no-such.ckpt" in stderr_of(["evaluate", "no-such.ckpt"], 2, capsys)
    assert str(tmp_path) in stderr_of(["leaderboard", str(tmp_path)], 2, capsys)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_one_line_and_exit_code_128_plus_its_number(
    number: signal.Signals, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(args: list[str]) -> None:
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(main=stopped))
    line = f"error: stopped by {number.name}; give the same command again"
    assert stderr_of(["sample", "x.ckpt"], 128 + number, capsys) == line


def test_program_runs_as_a_script_and_as_a_module(tmp_path: Path) -> None:
    for command in ([str(script(tmp_path))], ["-m", "lit_gen"]):
        found = run(*command, "fti")
        assert found.returncode == 2
        assert found.stderr == "error: no command 'fti'; did you mean 'fit'?\n"
        assert run(*command).returncode == 0


LIGHT = [
    ["--help"], ["leaderboard", "."], ["leaderboard", "--help"], ["clean", "."],
    ["fit", "--help"], ["list"], ["list", "parts", "sweeps"], ["help", "VDM"],
]


@pytest.mark.parametrize("args", LIGHT, ids=" ".join)
def test_light_commands_import_neither_torch_nor_lightning(args: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from lit_gen.__main__ import run\n"
        "try: run()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'lightning', 'numpy', 'yaml'} & set(sys.modules); assert not heavy, heavy"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("start", [pytest.param("script", marks=pytest.mark.slow), "module"])
def test_two_processes(start: str, tmp_path: Path) -> None:
    """Lightning starts the second process by the command line of the first, in another way for each of the two."""
    command = [str(script(tmp_path))] if start == "script" else ["-m", "lit_gen"]
    args = options("vae", tmp_path, "--run_name=run", "--budget.max_examples=200", "--quality.extractor=null")
    found = run(*command, "fit", *args, "--trainer.accelerator=cpu", "--trainer.devices=2")
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    record = the_record(tmp_path)
    assert record.environment.world_size == 2
    assert record.cost.examples_seen == 200
