"""``--config`` outside a checkout: files of the package by path or short name; a file on the disk wins."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from conftest import REPO

from lit_gen.cli.command_line import CLI
from lit_gen.cli.shipped import shipped_file, with_shipped_configs
from lit_gen.errors import UserError

VAE = "configs/recipes/digits/vae.yaml"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (VAE, VAE),
        ("digits/vae", VAE),
        ("digits/vae.yaml", VAE),
        ("data/mnist", "configs/data/mnist.yaml"),
        ("flow/glow", "configs/families/flow/glow.yaml"),
        ("base", "configs/base.yaml"),
        ("sweeps/vae.yaml", "sweeps/vae.yaml"),
    ],
)
def test_paths_and_short_names(name: str, file: str) -> None:
    assert shipped_file(name) == REPO / file


NO_FILES = ["nowhere", "../pyproject", "/etc/hosts", "configs/nowhere.yaml", "", ".", "data", "a" * 300]


@pytest.mark.parametrize("name", NO_FILES)
def test_other_names_are_no_files_of_the_package(name: str) -> None:
    assert shipped_file(name) is None


def test_a_name_of_several_files_is_rejected_with_all_of_them() -> None:
    with pytest.raises(UserError, match=r"'vae' may be any of .*recipes/digits/vae\.yaml.*recipes/mnist/vae\.yaml"):
        with_shipped_configs(["--config", "vae"])


def test_one_line_says_which_file_was_taken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_gen.cli.shipped._said", set())
    assert with_shipped_configs(["--config", VAE, "--a=1"]) == ["--config", str(REPO / VAE), "--a=1"]
    assert capsys.readouterr().err == f"config       {REPO / VAE} (of the package)\n"
    assert with_shipped_configs([f"--config={VAE}"]) == [f"--config={REPO / VAE}"]


def test_a_file_on_the_disk_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_gen.cli.shipped._said", set())
    mine = tmp_path / VAE
    mine.parent.mkdir(parents=True)
    mine.write_text((REPO / VAE).read_text().replace("num_latents: 8", "num_latents: 5"))
    assert with_shipped_configs(["--config", VAE]) == ["--config", VAE]
    assert capsys.readouterr().err == f"config       {VAE} (on the disk; the package has such a file too)\n"
    options = ["--trainer.logger=false", "--trainer.accelerator=cpu", "--quality.extractor=null"]
    built = CLI(["--config", VAE, *options], purpose="sample").as_run()
    assert built.model.num_latents == 5


def test_in_a_checkout_nothing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(REPO)
    assert with_shipped_configs(["--config", VAE, "-c", "mine.yaml"]) == ["--config", VAE, "-c", "mine.yaml"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("sweep", sorted((REPO / "sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_agent_outside_the_checkout_finds_the_recipe_of_a_sweep(sweep: Path) -> None:
    command = yaml.safe_load(sweep.read_text())["command"]
    assert command[:4] == ["${env}", "${interpreter}", "-m", "lit_gen.fit"]
    recipe = with_shipped_configs(command[4:])[1]
    assert Path(recipe).is_file()
    assert Path(recipe).is_absolute()
