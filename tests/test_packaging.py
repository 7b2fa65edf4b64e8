"""What is promised outside the code: the two commands, the environments, the top level."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from commands import options, the_record
from conftest import REPO
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
DIRECT = [Requirement(r) for r in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]


def readme_commands() -> list[str]:
    text = (REPO / "README.md").read_text()
    block = re.search(r"<!-- commands -->\n```bash\n(.*?)```\n<!-- end -->", text, re.DOTALL)
    assert block, "README.md lacks its block of commands"
    return block[1].strip().splitlines()


def test_readme_begins_with_two_commands_that_set_up_what_they_need() -> None:
    run, check = readme_commands()
    assert (REPO / "README.md").read_text().index(run) < 400
    for command in (run, check):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ")
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
    # pip installs the project itself, as the README does, so that there is no further list of versions to drift.
    constraints, project = by_pip["pip"]
    assert constraints == "-c constraints.txt"
    extras = re.fullmatch(r"-e \.\[(\w+)\]", project)
    assert extras is not None
    assert extras[1] in PROJECT["optional-dependencies"]


def constraints() -> dict[str, str]:
    """The version of each package in constraints.txt, where every line has to be ``name==version``."""
    lines = (REPO / "constraints.txt").read_text().splitlines()
    pins = [re.fullmatch(r"([\w.-]+)==([\w.+]+)", line) for line in lines if not line.startswith("#")]
    assert all(pins), "constraints.txt has a line that is no exact version"
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda r: r.name)
def test_constraints_pin_each_dependency_inside_its_range(requirement: Requirement) -> None:
    version = constraints().get(canonicalize_name(requirement.name))
    assert version is not None, f"constraints.txt lacks {requirement.name}"
    assert requirement.specifier.contains(version, prereleases=True), f"{version} is not in {requirement}"


def test_ci_has_torch_and_its_torchvision() -> None:
    assert {name: constraints()[name] for name in ("torch", "torchvision")} == {
        "torch": "2.14.1",
        "torchvision": "0.29.1",
    }


def test_ci_compares_the_files_of_these_versions_with_their_checksums() -> None:
    """Of constraints.txt all, and of what torch takes besides for NVIDIA's cards."""
    lines = (REPO / ".ci/checksums.txt").read_text().splitlines()[1:]
    files = [re.fullmatch(r"([\w.-]+)==([\w.+]+) --hash=sha256:[0-9a-f]{64}", line) for line in lines]
    assert all(files)
    versions = {canonicalize_name(found[1]): found[2] for found in files if found}
    assert len(versions) == len(files)
    assert {name: versions.get(name) for name in constraints()} == constraints()
    assert all(re.match("nvidia-|cuda-|triton|setuptools", name) for name in versions.keys() - constraints().keys())
    script = (REPO / ".ci/run").read_text()
    fetched = script.index("--require-hashes --only-binary :all: -r .ci/checksums.txt -d build/wheels")
    assert fetched < script.index("export PIP_NO_INDEX=1") < script.index('bash -euo pipefail -c "$line"')


def test_wheels_ask_for_no_exact_torch() -> None:
    """An exact version would replace a user's own build of torch."""
    specifiers = {r.name: r.specifier for r in DIRECT}
    assert "torchvision" not in specifiers, "lit_gen does not import it"
    assert {s.operator for s in specifiers["torch"]} == {">="}


def test_nothing_else_at_the_top() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {path.split("/")[0] for path in tracked.stdout.splitlines()}
    assert top <= {
        *("lit_gen", "configs", "docs", "tests", "sweeps", "environment.yml", "pyproject.toml", "README.md"),
        *("setup.py", "CITATION.cff", "Dockerfile", ".dockerignore"),
        *(".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md", "constraints.txt"),
    }


def test_training_needs_no_hub_client_tracker_or_peer(tmp_path: Path) -> None:
    """On a machine without `datasets`, `wandb` and torch-fidelity, the digits are trained on and scored."""
    without = ("datasets", "wandb", "torch_fidelity")
    site = tmp_path / "site"
    site.mkdir()
    for path in Path(torch.__file__).parents[1].iterdir():
        if not path.name.startswith((*without, "__editable__", "lit_gen")):
            (site / path.name).symlink_to(path)
    check = f"import importlib.util as u, sys; assert not any(map(u.find_spec, {without})), sys.path\n"
    run = check + "from lit_gen.fit import main; main(sys.argv[1:])"
    args = options("vae", tmp_path, "--budget.max_examples=200")
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{REPO}"}
    environment.pop("WANDB_MODE", None)
    found = subprocess.run([sys.executable, "-S", "-c", run, *args], capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    assert "W&B: not installed; curves are in metrics.csv alone" in found.stdout + found.stderr
    assert the_record(tmp_path).scores
    found = subprocess.run(
        [sys.executable, "-S", "-c", "import sys\nfrom lit_gen.__main__ import run\nsys.exit(run())", "fit", *args,
         "--wandb.mode=offline", "--run_name=b"], capture_output=True, text=True, env=environment,
    )
    assert found.returncode == 2
    assert found.stderr.splitlines()[-1] == (
        "error: wandb.mode is offline, and wandb is not installed: pip install wandb, or --wandb.mode=disabled"
    )
    assert not (tmp_path / "b").exists()


def test_version_is_stated_once_and_cited() -> None:
    import lit_gen

    citation = yaml.safe_load((REPO / "CITATION.cff").read_text())
    assert citation["version"] == lit_gen.__version__
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)


def test_containers_install_the_tested_versions() -> None:
    text = (REPO / "Dockerfile").read_text()
    installs = [line for line in text.splitlines() if line.startswith("RUN pip install")]
    assert len(installs) == 4
    assert all("-c constraints.txt" in line for line in installs)
    assert re.findall(r"^FROM .* AS (\w+)$", text, re.MULTILINE) == ["base", "cpu", "cuda"]
    extras = {extra for line in installs for extra in re.findall(r"\.\[(\w+)\]", line)}
    assert extras <= set(PROJECT["optional-dependencies"])
    assert PROJECT["requires-python"] == ">=3.11"
    assert "FROM python:3.11" in text
