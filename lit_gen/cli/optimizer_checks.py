"""Checks of a model's optimizers before training: their arguments, and whether a run can be resumed with them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule
from torch.optim import Optimizer

from lit_gen.checkpoints import KEY, listed, load_state, read_checkpoint, weights_not_finite
from lit_gen.cli.checks import one_line
from lit_gen.errors import UserError


def check_optimizers(model: LightningModule) -> None:
    """Builds the optimizers, so that invalid arguments are found before the run has a folder.

    Raises:
        UserError: If an optimizer raises an error; the message names the argument of the model.
    """
    _build(model)


def check_resume(model: LightningModule, checkpoint: Path | None, config: dict[str, Any]) -> None:
    """Validates that a run can be resumed from a checkpoint.

    Args:
        model: The model.
        checkpoint: Path of the checkpoint, if there is one.
        config: The configuration, as nested plain values.

    Raises:
        UserError: If the file is missing or not a checkpoint, is of another model or other optimizers, or contains
            weights that are not finite.
    """
    if checkpoint is None:
        return
    content = read_checkpoint(checkpoint, "ckpt_path: ")
    if "optimizer_states" not in content:
        raise UserError(f"ckpt_path: {checkpoint} contains weights only and cannot be resumed; leave it out")
    if bad := weights_not_finite(content):
        raise UserError(
            f"ckpt_path: {checkpoint} cannot be resumed: its weights are NaN or infinite ({listed(bad)});"
            " use an earlier checkpoint and a lower learning rate"
        )
    load_state(model, content)
    _check_same_classes(content[KEY], config, checkpoint)
    _check_same_groups(model, content["optimizer_states"], checkpoint)


def _check_same_classes(before: str, config: dict[str, Any], checkpoint: Path) -> None:
    """Validates the optimizer classes: the state of another class may load, but be misinterpreted."""
    then = optimizer_classes(yaml.safe_load(before).get("model"))
    for name, class_path in optimizer_classes(config["model"]).items():
        if name not in then:
            raise UserError(
                f"ckpt_path: {checkpoint} was trained without {name}, perhaps by an older version of lit_gen;"
                " start a new run"
            )
        if then[name] != class_path:
            raise UserError(
                f"ckpt_path: {checkpoint} was trained with {name}={then[name]}, but {name} is now {class_path};"
                " use the optimizer of that run"
            )


def optimizer_classes(spec: Any, name: str = "model") -> dict[str, str]:
    """Class paths of the optimizers in a configuration, by their dotted names without ``init_args``."""
    if not isinstance(spec, dict):
        return {}
    found: dict[str, str] = {}
    for key, value in (spec.get("init_args") or {}).items():
        if isinstance(value, dict) and _is_optimizer(value.get("class_path")):
            found[f"{name}.{key}"] = value["class_path"]
        else:
            found |= optimizer_classes(value, f"{name}.{key}")
    return found


def _is_optimizer(class_path: Any) -> bool:
    module, _, name = str(class_path).rpartition(".")
    try:
        cls = getattr(__import__(module, fromlist=[name]), name)
    except (ImportError, AttributeError, ValueError):
        return False
    return inspect.isclass(cls) and issubclass(cls, Optimizer)


def _check_same_groups(model: LightningModule, states: list[dict[str, Any]], checkpoint: Path) -> None:
    optimizers = _build(model)
    if optimizers is None:
        return
    sizes = [[len(group["params"]) for group in optimizer.param_groups] for optimizer in optimizers]
    if sizes != [[len(group["params"]) for group in state["param_groups"]] for state in states]:
        raise UserError(
            f"ckpt_path: {checkpoint} was trained with another optimizer than is configured now (model.optimizer); use"
            " the options of that run"
        )


# -------------------------------------------------------------- building


def _build(model: LightningModule) -> list[Optimizer] | None:
    """Returns the optimizers, or None for a model that needs its Trainer to build them."""
    try:
        with _named_factories(model):
            built: Any = model.configure_optimizers()
    except ValueError as error:
        raise UserError(f"model: {one_line(error)}") from error
    except RuntimeError:
        return None
    return list(built) if isinstance(built, list | tuple) else [built]


@contextmanager
def _named_factories(model: LightningModule) -> Iterator[None]:
    """Context in which errors of optimizer factories name the attribute of the model that holds the factory.

    The name of the attribute is that of the argument.
    """
    factories = {name: value for name, value in vars(model).items() if _is_factory(value)}
    try:
        for name, factory in factories.items():
            setattr(model, name, partial(_call, name, factory))
        yield
    finally:
        for name, factory in factories.items():
            setattr(model, name, factory)


def _is_factory(value: Any) -> bool:
    """Whether this is an optimizer class, or a partial of one as the parser creates them."""
    candidates = (value.func, *value.args) if isinstance(value, partial) else (value,)
    return any(inspect.isclass(each) and issubclass(each, Optimizer) for each in candidates)


def _call(name: str, factory: Callable[..., Optimizer], *args: Any, **kwargs: Any) -> Optimizer:
    try:
        return factory(*args, **kwargs)
    except (ValueError, RuntimeError, UserError) as error:
        raise UserError(f"model.{name}: {one_line(error)}") from error
