"""The wheel and the sdist: built, installed in an empty environment, and run outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import torch
from commands import SMALL, the_record
from conftest import REPO

_BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"


def run(*command: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a command without anything of the checkout on the path."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**kept, **more}, capture_output=True, text=True, timeout=300
    )


def tracked() -> list[str]:
    found = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPO, capture_output=True, text=True
    )
    if found.returncode:
        pytest.skip("not a git checkout")
    return [name for name in found.stdout.splitlines() if (REPO / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist, which is built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("build")
    source, dist = folder / "source", folder / "dist"
    dist.mkdir()
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((REPO / name).read_bytes())
    built = run(sys.executable, "-c", _BUILD, "build_sdist", dist, cwd=source)
    assert built.returncode == 0, built.stderr
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(folder / "sdist", filter="data")
    (unpacked,) = (folder / "sdist").iterdir()
    built = run(sys.executable, "-c", _BUILD, "build_wheel", dist, cwd=unpacked)
    assert built.returncode == 0, built.stderr
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel; its dependencies are those of this environment, lit_gen left out."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    found = folder / "bin" / "python"
    installed = run(sys.executable, "-m", "pip", f"--python={found}", "install", "--no-deps", "--no-index", wheel,
                    cwd=folder)  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    (packages,) = folder.glob("lib/*/site-packages")
    # A path of its own, in which .pth files are not read: the editable installation is not found.
    (packages / "dependencies.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    return found


def test_the_wheel_holds_all_that_the_checkout_has(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = ("lit_gen/", "configs/", "sweeps/")
    wanted = [name for name in tracked() if name.startswith(folders)]
    missing = [name for name in wanted if name.removeprefix("lit_gen/") and f"lit_gen/{name}".replace(
        "lit_gen/lit_gen/", "lit_gen/") not in names]  # fmt: skip
    assert len(wanted) > 400
    assert not missing
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lit_gen"}, "nothing else is installed"


def test_it_trains_and_lists_outside_the_checkout(python: Path, tmp_path: Path) -> None:
    program = python.with_name("lit-gen")
    helped = run(program, "--help", cwd=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert "lit-gen fit --config configs/recipes/digits/vae.yaml" in helped.stdout
    config = "configs/recipes/digits/vae.yaml"
    trained = run(
        python, "-m", "lit_gen.fit", "--config", config, *SMALL, "--budget.max_examples=300", cwd=tmp_path,
        LIT_GEN_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    (line,) = (line for line in trained.stderr.splitlines() if line.startswith("config "))
    assert line.endswith(f"/site-packages/lit_gen/{config} (of the package)")
    assert the_record(tmp_path / "runs").model == "VAE"
    board = run(program, "leaderboard", "runs", cwd=tmp_path)
    assert board.returncode == 0, board.stderr
    assert "VAE" in board.stdout
