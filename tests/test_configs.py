"""Every YAML file under ``configs/`` is one that the command takes; whoever adds one adds its test."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import test_gpu_recipes
import yaml
from conftest import REPO, SHELF

from lit_gen import fit
from lit_gen.cli.command_line import CLI
from lit_gen.errors import UserError

CONFIGS = REPO / "configs"
BASE, DIGITS = CONFIGS / "base.yaml", CONFIGS / "data" / "digits.yaml"
DATA = sorted((CONFIGS / "data").rglob("*.yaml"))
FAMILIES = sorted((CONFIGS / "families").rglob("*.yaml"))
RECIPES = sorted((CONFIGS / "recipes").rglob("*.yaml"))
HERE = [file for file in RECIPES if file.parent.name not in test_gpu_recipes.SETS]  # the others take two steps there
SMALL = [
    "--trainer.fast_dev_run=true",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--quality.num_samples=20",
    "--grid.num_samples=4",
]


def name_of(path: Path) -> str:
    return str(path.relative_to(CONFIGS).with_suffix(""))


def data_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content["data"]


def in_memory(path: Path) -> bool:
    """Whether a recipe's data come with the packages, so that nothing needs decoding."""
    return data_of(path)["class_path"].rsplit(".", 1)[-1] in ("Digits", "KnownEntropy")


def parsed(files: list[Path], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the real parser makes of files, later ones winning, without building anything."""
    with pytest.raises(SystemExit) as end:
        CLI([f"--config={file}" for file in files] + ["--print_config"])
    assert end.value.code == 0
    config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return config


def contains(config: Any, said: Any, where: str = "") -> None:
    """Whatever a file says stands in the resolved configuration."""
    if isinstance(said, dict):
        for key, value in said.items():
            contains(config[key], value, f"{where}.{key}")
    elif isinstance(said, str) and isinstance(config, dict):
        assert config["class_path"].endswith(said.rsplit(".", 1)[-1]), where
    elif where.endswith("class_path"):
        assert str(config).rsplit(".", 1)[-1] == said.rsplit(".", 1)[-1], where
    else:
        assert config == said, where


# The papers' nets are for GPUs; all else in their files is run as it stands. Dotted names below model.init_args.
UNET = {"nets.init_args.channels": 16, "nets.init_args.num_res_blocks": 1, "nets.init_args.num_groups": 8}
ADM = {**UNET, "nets.init_args.head_channels": 16}
FEW = {"sampling.steps": 5}
SDE = {"nets.init_args.channels": 16, "nets.init_args.num_res_blocks": 1, **FEW}
NCSN = {**UNET, "ladder.num_sigmas": 3, "sampling.langevin.steps": 1}
NARROWER: dict[str, dict[str, Any]] = {
    "pixelcnnpp": {"num_filters": 16},
    "transformer": {"width": 64},
    "sngan": {f"nets.init_args.{net}_channels": [16] * 4 for net in ("generator", "discriminator")},
    "r3gan": {"nets.init_args.channels": [16] * 4, "nets.init_args.groups": 8},
    "ddpm": {**UNET, **FEW},
    "improved_ddpm": {**ADM, **FEW},
    "improved_ddpm_vlb": {**ADM, **FEW},
    "vdm": {**UNET, **FEW},
    "edm": {**ADM, **FEW},
    "flow_matching": {**ADM, **FEW},
    "score_sde_ve": SDE,
    "score_sde_vp": SDE,
    "score_sde_subvp": SDE,
    "ncsn": NCSN,
    "ncsn_sliced": NCSN,
    "ncsn_v2": NCSN,
}


def put(tree: dict[str, Any], name: str, value: Any) -> None:
    """Sets what a dotted name stands for."""
    *path, last = name.split(".")
    for part in path:
        tree = tree[part]
    tree[last] = value


def test_every_file_is_in_a_room_that_is_tested() -> None:
    found = set(CONFIGS.rglob("*.y*ml"))
    assert found == {BASE, *DATA, *FAMILIES, *RECIPES}
    assert len(DATA) >= 13
    assert len(RECIPES) >= 4


@pytest.mark.parametrize("file", DATA, ids=name_of)
def test_data_compose_with_a_family(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = parsed([BASE, file, FAMILIES[0]], capsys)
    for part in (file, FAMILIES[0]):
        contains(config, yaml.safe_load(part.read_text()))


@pytest.mark.parametrize("file", RECIPES, ids=name_of)
def test_recipe_stands_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contains(parsed([file], capsys), yaml.safe_load(file.read_text()))


@pytest.mark.parametrize("file", FAMILIES, ids=name_of)
def test_family_runs_on_digits(file: Path, tmp_path: Path) -> None:
    files = [f"--config={part}" for part in (BASE, DIGITS, file)]
    narrower = NARROWER.get(file.stem, {})
    options = [f"--model.init_args.{name}={value}" for name, value in narrower.items()]
    fit.main([*files, f"--trainer.default_root_dir={tmp_path}", *options, *SMALL])
    (ran,) = tmp_path.rglob("config.yaml")
    said = yaml.safe_load(file.read_text())
    for name, value in narrower.items():
        put(said["model"]["init_args"], name, value)
    contains(yaml.safe_load(ran.read_text()), said)


@pytest.mark.parametrize(
    "file", [pytest.param(f, id=name_of(f), marks=() if in_memory(f) else pytest.mark.slow) for f in HERE]
)
def test_recipe_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = data_of(file)["init_args"].get("path")
    if path is not None:
        if not (SHELF / path).is_dir():
            pytest.skip(f"needs {path} on the data shelf at {SHELF}")
        monkeypatch.setenv("LIT_GEN_DATA", str(SHELF))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        if path is not None:  # what `datasets` and its own dependencies deprecate is theirs to mend
            warnings.simplefilter("default")
        fit.main([f"--config={file}", f"--trainer.default_root_dir={tmp_path}", *SMALL])


def test_misspelt_config_would_be_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards the tests above."""
    recipe = CONFIGS / "recipes" / "digits" / "vae.yaml"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(recipe.read_text().replace("num_latents", "num_latent"))
    with pytest.raises(UserError, match="num_latent"):
        CLI([f"--config={wrong}", "--print_config"])
    with pytest.raises(AssertionError):
        contains(parsed([recipe], capsys), {"budget": {"max_examples": -7}})
