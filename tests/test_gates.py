"""The quality gates that are programs: style, types, and who may import whom."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["mypy"], ["lint-imports", "--no-cache"]],
    ids=["style", "types", "imports"],
)
def test_gate(command: list[str]) -> None:
    program = BIN / command[0]
    if not program.exists() and not os.environ.get("CI"):
        pytest.skip(f"{command[0]} is not installed; pip install -e '.[test]'")
    found = subprocess.run([str(program), *command[1:]], cwd=REPO, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_importing_the_package_is_free() -> None:
    code = "import sys, lit_gen; heavy = {'torch', 'lightning', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
