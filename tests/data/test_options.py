"""Options of data modules: few, nested, overridden one at a time; and data that stay the same to the bit."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import os
import re
from pathlib import Path

import numpy as np
import pytest
from jsonargparse import ArgumentParser

import lit_gen.data
from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.cli.renamed import OPTIONS
from lit_gen.data import Digits, DiscreteDataModule, FolderImages, KnownEntropy, RandomHeldOut, SliceLoader, Transform
from lit_gen.errors import UserError

MODULES = [
    cls
    for cls in vars(lit_gen.data).values()
    if isinstance(cls, type) and issubclass(cls, DiscreteDataModule) and not inspect.isabstract(cls)
]
RENAMED = {old: new for old, new in OPTIONS.items() if old.startswith("data.")}
VALUES = [cls for cls in vars(lit_gen.data).values() if dataclasses.is_dataclass(cls)]


def options_of(module: type[DiscreteDataModule]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(module, eval_str=True).parameters)


def keys_of(module: type[DiscreteDataModule]) -> set[str]:
    """Dotted names of all options."""
    keys = set()
    for name, parameter in options_of(module).items():
        nested = dataclasses.is_dataclass(parameter.annotation)
        fields = dataclasses.fields(parameter.annotation) if nested else []
        keys |= {f"data.{name}.{field.name}" for field in fields} if nested else {f"data.{name}"}
    return keys


def parsed(*args: str) -> DiscreteDataModule:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(DiscreteDataModule, "data")
    return parser.instantiate(parser.parse_args(list(args))).data


def batches(loader: SliceLoader) -> str:
    """A hash of all batches of an epoch, with their order."""
    digest = hashlib.sha256()
    for batch in loader:
        digest.update(batch.x.numpy().tobytes() + batch.index.numpy().tobytes())
    return digest.hexdigest()[:16]


def prints(data: DiscreteDataModule) -> list[str]:
    return [data.fingerprint(name)[:16] for name in ("train", "val", "test")]


# ------------------------------------------------------------------ the options


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_at_most_ten_options(module: type[DiscreteDataModule]):
    assert len(options_of(module)) <= 10


def test_values_are_frozen():
    assert {cls.__name__ for cls in VALUES} >= {"Splits", "Loader", "Transform", "HubSource"}
    assert all(cls.__dataclass_params__.frozen for cls in VALUES)


def test_one_key_stands_for_one_concept():
    """A nested key has values of one family of classes in all modules."""
    found: dict[str, set[type]] = {}
    for module in MODULES:
        for name, parameter in options_of(module).items():
            if dataclasses.is_dataclass(parameter.annotation):
                found.setdefault(name, set()).add(parameter.annotation)
    assert set(found) == {"transform", "hub", "columns", "splits", "loader"}
    assert all({"loader", "batch_size"} <= options_of(module).keys() for module in MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_renamed_options_are_gone_and_their_new_names_exist(module: type[DiscreteDataModule]):
    assert not keys_of(module) & RENAMED.keys()


def test_every_new_name_is_an_option_of_some_module():
    everywhere = set().union(*(keys_of(module) for module in MODULES))
    assert {key for new in RENAMED.values() for key in re.findall(r"data\.[\w.]+", new)} <= everywhere


@pytest.mark.parametrize(
    "way",
    ["--{key}=1", "--data.init_args.{name}=1", '--config={{"data": {{"init_args": {{"{name}": 1}}}}}}'],
    ids=["short", "long", "file"],
)
@pytest.mark.parametrize("key", RENAMED)
def test_a_renamed_option_is_answered_with_its_new_name(key: str, way: str, capsys: pytest.CaptureFixture[str]):
    option = way.format(key=key, name=key.removeprefix("data."))
    assert run_command(fit.main, ["--model=VAE", "--data=Digits", option]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {key} is now {RENAMED[key]}"


def test_overriding_one_field_keeps_the_others(tmp_path: Path):
    file = tmp_path / "data.yaml"
    init_args = "{path: x, name: m, transform: {size: 8, channels: 1}}"
    file.write_text(f"data: {{class_path: FolderImages, init_args: {init_args}}}")
    data = parsed(f"--config={file}", "--data.splits.num_val=0.2", "--data.transform.crop=square")
    assert isinstance(data, FolderImages)
    assert data.splits == RandomHeldOut(num_val=0.2, num_test=0.1)
    assert data.transform == Transform(8, 1, crop="square")
    (tmp_path / "more.yaml").write_text("data: {init_args: {splits: {seed: 3}}}")
    data = parsed(f"--config={file}", "--data.splits.num_test=5", f"--config={tmp_path / 'more.yaml'}")
    assert isinstance(data, FolderImages)
    assert data.splits == RandomHeldOut(num_val=0.1, num_test=5, seed=3)


def test_an_option_that_a_module_would_ignore_does_not_exist():
    with pytest.raises(Exception, match=r"splits\.seed"):
        parsed("--data=TextFile", "--data.path=x", "--data.name=m", "--data.length=8", "--data.splits.seed=3")


# ------------------------------------------------------------------ the data, pinned


def test_digits_are_pinned():
    data = Digits()
    assert prints(data) == ["ed9c733707704979", "2152625e1956e662", "b2c5ea14e65a95c2"]
    dynamic = Digits(binarize="dynamic")
    assert prints(dynamic) == ["57c94ac0353cf737", "8520fc64594d60ec", "186f0e472c4207d1"]
    loaders = dynamic.train_dataloader(), dynamic.val_dataloader(), dynamic.test_dataloader()
    assert [batches(loader) for loader in loaders] == ["566ccbf1399549ce", "3ff4d44dd4c52fcf", "8753607b82e2c789"]


def test_a_carved_folder_is_pinned_with_its_place_in_the_cache(tmp_path: Path, own_cache: Path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in range(20):
        pixels = np.random.default_rng(i).integers(0, 256, 36, dtype=np.uint8)
        (folder / f"{i:02d}.pgm").write_bytes(b"P5 6 6 255\n" + pixels.tobytes())
        os.utime(folder / f"{i:02d}.pgm", ns=(10**18, 10**18))
    splits = RandomHeldOut(num_val=4, num_test=0.25, seed=2)
    data = FolderImages(str(folder), "faces", Transform(6, 1), splits=splits)
    assert prints(data) == ["933d9778fc19aca3", "b56c70d4df2acd59", "6ae26bbc86bfb550"]
    loaders = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
    assert [batches(loader) for loader in loaders] == ["69864259ffdb33ad", "129a57f74781086b", "d5d4e0bce9c478ad"]
    assert [entry.name for entry in own_cache.iterdir()] == ["faces-c3d8143d0e55e436"]


def test_a_source_of_known_entropy_rejects_what_it_cannot_be():
    with pytest.raises(UserError, match="num_components >= 1"):
        KnownEntropy(num_components=0)
