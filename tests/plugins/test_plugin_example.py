"""The example of ``docs/examples/plugin``, as its page says: by class path from the folder, and as a plugin."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from commands import the_record
from conftest import REPO

EXAMPLE = REPO / "docs/examples/plugin"
PAGE = (EXAMPLE / "README.md").read_text()
SMALL = ["--budget.max_examples=2000", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
PROGRAM = "import sys\nfrom lit_gen.__main__ import run\nsys.exit(run())"


def commands() -> list[list[str]]:
    """The page's commands in their order: make the data, fit by class path, fit by short names, help."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.strip().splitlines()]


def run(command: list[str], folder: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command of the page as a user does: ``lit-gen`` as a script, which does not add the folder to the path."""
    start = [sys.executable, "-c", command[2]] if command[0] == "python" else [sys.executable, "-P", "-c", PROGRAM]
    more = [] if command[0] == "python" else command[1:]
    kept = os.pathsep.join(map(str, [*path, REPO]))
    return subprocess.run(
        [*start, *more], cwd=folder, env={**os.environ, "PYTHONPATH": kept}, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("example") / "plugin"
    shutil.copytree(EXAMPLE, found, ignore=shutil.ignore_patterns("__pycache__"))
    made = run(commands()[0], found)
    assert made.returncode == 0, made.stderr
    return found


def test_by_class_path_from_the_folder(folder: Path) -> None:
    found = run([*commands()[1], *SMALL], folder)
    assert found.returncode == 0, found.stderr
    record = the_record(folder / "runs")
    assert (record.model, record.family, record.data) == ("PixelMarginals", "own", "digits-file")
    names = {score.name for score in record.scores}
    assert {"bpd", "fd_pooled_pixels", "mean_distance_pooled_pixels"} <= names
    assert all(score.kind == "exact" for score in record.scores if score.name == "bpd")


@pytest.mark.slow
def test_installed_as_a_plugin(folder: Path, tmp_path: Path) -> None:
    build = "import sys; from setuptools import build_meta as b; b.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=folder, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    shutil.copy(folder / "digits.npz", tmp_path)
    fit, helped = commands()[2], commands()[3]
    shown = run(helped, tmp_path, tmp_path / "site")
    assert "chosen by   --model=PixelMarginals" in shown.stdout, shown.stderr
    found = run([*fit, *SMALL], tmp_path, tmp_path / "site")
    assert found.returncode == 0, found.stderr
    record = the_record(tmp_path / "runs")
    assert record.config["model"]["class_path"] == "litgen_example.PixelMarginals"
    code = (
        "import lit_gen; from pathlib import Path; from lit_gen.cli.plugins import plugin_packages\n"
        "assert plugin_packages() == ('litgen_example',)\n"
        "model = lit_gen.load(next(Path('runs').glob('*/checkpoints')).parent)\n"
        "x = model.data.split('test').x\n"
        "print(model.nll(x).mean().item(), len(model.images(3)))"
    )
    loaded = run(["python", "-c", code], tmp_path, tmp_path / "site")
    assert loaded.returncode == 0, loaded.stderr
    nats, images = loaded.stdout.split()
    assert float(nats) == pytest.approx(next(s.value for s in record.scores if s.name == "nll"), rel=1e-6)
    assert images == "3"


def test_a_broken_plugin_is_a_warning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import EntryPoint

    from lit_gen.cli import plugins

    broken = EntryPoint("moon", "no_such_module:thing", plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [broken])
    assert plugins.plugin_packages() == ("no_such_module",)
    plugins.import_plugins()
    assert capsys.readouterr().err.startswith("warning: the plugin moon cannot be imported (ModuleNotFoundError: ")


def test_a_space_without_a_checksum_is_rejected_before_training() -> None:
    from lit_gen.cli.checks import check_extractor
    from lit_gen.data import Digits
    from lit_gen.errors import UserError
    from lit_gen.metrics import MnistCNN

    space = MnistCNN()
    space.sha256 = "none"
    with pytest.raises(UserError, match=r"MnistCNN\.sha256 is 'none'; set it to the SHA-256"):
        check_extractor(space, Digits())
