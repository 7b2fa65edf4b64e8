"""A checkpoint runs no code but that of packages that are listed or allowed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import run_fit

from lit_gen import evaluate
from lit_gen.checkpoints import KEY
from lit_gen.cli.import_paths import OF_USERS, import_paths, named_packages
from lit_gen.cli.process import run_command
from lit_gen.errors import UserError

EVIL = """
from pathlib import Path
Path(__file__).with_name("RAN").touch()

class Evil:
    pass

def evil(*args, **kwargs):
    return None
"""


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Content of a checkpoint."""
    small = ["--budget.max_examples=200", "--quality.extractor=null"]
    run = run_fit("vae", tmp_path_factory.mktemp("runs"), "vae", *small)
    found: dict[str, Any] = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    return found


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a file if it is imported; returns the path of that file."""
    (tmp_path / "evil_mod.py").write_text(EVIL)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("evil_mod", None)
    return tmp_path / "RAN"


def put(tree: dict[str, Any], where: str, value: Any) -> None:
    *path, last = where.split("/")
    for name in path:
        tree = tree.setdefault(name, {})
    tree[last] = value


CLASS = {"class_path": "evil_mod.Evil"}
PLACES: dict[str, tuple[str, Any]] = {
    "model": ("model/class_path", "evil_mod.Evil"),
    "model, as text": ("model", "evil_mod.Evil"),
    "data": ("data/class_path", "evil_mod.Evil"),
    "nets": ("model/init_args/nets", CLASS),
    "optimizer": ("model/init_args/optimizer", CLASS),
    "optimizer, as a function": ("model/init_args/optimizer", "evil_mod.evil"),
    "decay": ("schedule/decay", CLASS),
    "feature space": ("quality/extractor", CLASS),
    "statistic": ("quality/statistics", ["evil_mod.Evil"]),
    "through torch": ("model/init_args/optimizer", "torch.hub.load"),
    "through an entry": ("model", {"class_path": "lit_gen.entries.own_object.OwnObject",
                                   "init_args": {"path": "evil_mod.Evil"}}),
    "of the system": ("model/init_args/optimizer", "os.system"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_class_of_another_package_is_not_imported(
    place: str, content: dict[str, Any], evil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = yaml.safe_load(content[KEY])
    put(tree, *PLACES[place])
    torch.save({**content, KEY: yaml.safe_dump(tree)}, tmp_path / "x.ckpt")
    assert run_command(evaluate.main, [str(tmp_path / "x.ckpt")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert "weights_only=False" not in error
    if "evil_mod" in str(PLACES[place][1]) and "entry" not in place:
        assert "--allow=evil_mod" in error
    assert not evil.exists()


def test_a_package_that_is_allowed_is_imported(
    content: dict[str, Any], evil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = yaml.safe_load(content[KEY])
    put(tree, *PLACES["model"])
    torch.save({**content, KEY: yaml.safe_dump(tree)}, tmp_path / "x.ckpt")
    assert run_command(evaluate.main, [str(tmp_path / "x.ckpt"), "--allow=evil_mod"]) == 2
    assert "not a GenerativeModule" in capsys.readouterr().err.splitlines()[-1]
    assert evil.exists()
    assert run_command(evaluate.main, [str(tmp_path / "x.ckpt"), "--allow=../evil"]) == 2
    assert "--allow=../evil" in capsys.readouterr().err


def test_an_option_of_the_users_allows_the_checkpoint_nothing(
    content: dict[str, Any], evil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = yaml.safe_load(content[KEY])
    put(tree, *PLACES["nets"])
    torch.save({**content, KEY: yaml.safe_dump(tree)}, tmp_path / "x.ckpt")
    assert run_command(evaluate.main, [str(tmp_path / "x.ckpt"), "--model.optimizer=evil_mod.Evil"]) == 2
    assert "model.nets" in capsys.readouterr().err.splitlines()[-1]
    assert not evil.exists()


def test_of_the_trainers_options_only_the_precision_is_taken(content: dict[str, Any], tmp_path: Path) -> None:
    tree = yaml.safe_load(content[KEY])
    profiler = {"class_path": "lightning.pytorch.profilers.SimpleProfiler",
                "init_args": {"dirpath": str(tmp_path), "filename": "written"}}
    tree["trainer"] |= {"profiler": profiler, "default_root_dir": str(tmp_path / "made"), "precision": "bf16-mixed"}
    torch.save({**content, KEY: yaml.safe_dump(tree)}, tmp_path / "x.ckpt")
    evaluate.main([str(tmp_path / "x.ckpt"), "--trainer.enable_progress_bar=false"])
    assert not list(tmp_path.glob("*written*"))
    assert not (tmp_path / "made").exists()
    assert "bf16-mixed" in (tmp_path / "record.json").read_text()


def test_packages_that_the_user_names_are_allowed_and_said(
    evil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_gen.cli.import_paths._said", set())
    (tmp_path / "c.yaml").write_text("model:\n  class_path: evil_mod.Evil\n")
    assert named_packages(["--model=VAE", f"--config={tmp_path / 'c.yaml'}"]) == ["evil_mod"]
    assert "evil_mod" in capsys.readouterr().err
    assert named_packages(["--model", "evil_mod.Evil", "--data.path=text.npz", "--run_name=a.b"]) == ["evil_mod"]
    assert named_packages(["--optimizer=torch.optim.SGD", "--model=lit_gen.families.VAE"]) == []
    assert not evil.exists()


def test_settings_of_the_parser_are_restored() -> None:
    from jsonargparse import _common

    before = dict(_common.parsing_settings)
    with import_paths(OF_USERS):
        assert _common.denying_import_path_entry("torch.hub.load") == "*"
        assert _common.denying_import_path_entry("torch.optim.SGD") is None
    assert _common.parsing_settings == before


def test_jsonargparse_itself_is_never_allowed() -> None:
    from lit_gen.cli.import_paths import checked_packages

    with pytest.raises(UserError, match="--allow=jsonargparse"):
        checked_packages(["jsonargparse"])
