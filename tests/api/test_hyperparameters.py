"""Checkpoints hold what Lightning's ``load_from_checkpoint`` builds a model from, for several families."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO
from lightning.pytorch.cli import instantiate_module

from lit_gen.callbacks import KeepConfig
from lit_gen.cli.command_line import CLI

RECIPES = sorted((REPO / "configs/recipes/digits").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_model_is_built_again_from_plain_values(path: Path) -> None:
    options = ["--trainer.accelerator=cpu", "--quality.extractor=null"]
    built = CLI([f"--config={path}", *options], purpose="sample").as_run()
    checkpoint: dict[str, Any] = {}
    KeepConfig(built.config).on_save_checkpoint(built.trainer, built.model, checkpoint)
    values = checkpoint["hyper_parameters"]
    assert values.pop("_class_path").endswith(f".{type(built.model).__name__}")
    values.pop("_instantiator")
    known = inspect.signature(type(built.model)).parameters
    again = instantiate_module(type(built.model), {name: value for name, value in values.items() if name in known})
    shapes, found = ({name: tensor.shape for name, tensor in m.named_parameters()} for m in (built.model, again))
    assert shapes == found
    assert again.num_levels == built.model.num_levels
