"""What is promised outside the code: the two commands, the environments, the top level."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
import yaml
from conftest import REPO
from packaging.specifiers import SpecifierSet

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]


def readme_commands() -> list[str]:
    text = (REPO / "README.md").read_text()
    block = re.search(r"<!-- commands -->\n```bash\n(.*?)```\n<!-- end -->", text, re.DOTALL)
    assert block, "README.md lacks its block of commands"
    return block[1].strip().splitlines()


def test_readme_begins_with_two_commands_that_set_up_what_they_need() -> None:
    run, check = readme_commands()
    assert (REPO / "README.md").read_text().index(run) < 400
    for command in (run, check):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -e ")
    config = re.search(r"lit_gen\.fit --config (\S+)", run)
    assert config is not None
    assert "Digits" in (REPO / config[1]).read_text(), "the first command must need no download"
    assert "'.[test]'" in check
    assert check.endswith("-m pytest")


def test_ci_runs_the_readmes_commands() -> None:
    """The same lines of shell that .ci/run uses find the same commands."""
    script = (REPO / ".ci/run").read_text()
    extract = next(line for line in script.splitlines() if line.startswith("commands=$("))
    found = subprocess.run(
        ["bash", "-c", f'{extract}; printf "%s\\n" "$commands"'], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip().splitlines() == readme_commands()


def test_conda_environment_agrees_with_pyproject() -> None:
    environment = yaml.safe_load((REPO / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    python, pip, by_pip = environment["dependencies"]
    assert pip == "pip"
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])
    # pip installs the project itself, so that every version is pyproject's and there is no second list to drift.
    (project,) = by_pip["pip"]
    extras = re.fullmatch(r"-e \.\[(\w+)\]", project)
    assert extras is not None
    assert extras[1] in PROJECT["optional-dependencies"]


def test_nothing_else_at_the_top() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {path.split("/")[0] for path in tracked.stdout.splitlines()}
    assert top <= {
        *("lit_gen", "configs", "tests", "sweeps", "environment.yml", "pyproject.toml", "README.md"),
        *(".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    }
