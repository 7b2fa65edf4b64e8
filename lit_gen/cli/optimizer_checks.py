"""Checks of a model's optimizers before training starts: their arguments, and whether a run can go on with them."""

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

from lit_gen.checkpoints import KEY, load_state, read_checkpoint
from lit_gen.cli.checks import one_line
from lit_gen.errors import UserError


def check_optimizers(model: LightningModule) -> None:
    """Builds the optimizers, so that a bad argument is found before the run has a folder.

    Raises:
        UserError: An optimizer raises an error; named by the argument of the model that it belongs to.
    """
    _build(model)


def check_resume(model: LightningModule, checkpoint: str | None, config: dict[str, Any]) -> None:
    """Checks that a run can go on from a checkpoint.

    Args:
        model: The model.
        checkpoint: Path of the checkpoint, if there is one.
        config: The configuration, as nested plain values.

    Raises:
        UserError: The file is missing, is something else, or is of another model or other optimizers.
    """
    if checkpoint is None:
        return
    content = read_checkpoint(Path(checkpoint), "ckpt_path: ")
    if "optimizer_states" not in content:
        raise UserError(f"ckpt_path: {checkpoint} holds weights alone, and no training to go on from; leave it out")
    load_state(model, content)
    _check_same_classes(content[KEY], config, checkpoint)
    _check_same_groups(model, content["optimizer_states"], checkpoint)


def _check_same_classes(before: str, config: dict[str, Any], checkpoint: str) -> None:
    """The same optimizer classes; a state of another class may load, and be misread."""
    then = optimizer_classes(yaml.safe_load(before).get("model"))
    for name, class_path in optimizer_classes(config["model"]).items():
        if name not in then:
            raise UserError(
                f"ckpt_path: {checkpoint} is of a run without {name}, perhaps of an older version of lit_gen;"
                " start a new run"
            )
        if then[name] != class_path:
            raise UserError(
                f"ckpt_path: {checkpoint} was trained with {name}={then[name]}, and {name} is now {class_path};"
                " give the optimizer that the run had"
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


def _check_same_groups(model: LightningModule, states: list[dict[str, Any]], checkpoint: str) -> None:
    optimizers = _build(model)
    if optimizers is None:
        return
    sizes = [[len(group["params"]) for group in optimizer.param_groups] for optimizer in optimizers]
    if sizes != [[len(group["params"]) for group in state["param_groups"]] for state in states]:
        raise UserError(
            f"ckpt_path: {checkpoint} was trained by another optimizer than model.optimizer and its like now say; give"
            " the options that the run had"
        )


# -------------------------------------------------------------- building


def _build(model: LightningModule) -> list[Optimizer] | None:
    """The optimizers, or None for a model that needs its Trainer for them."""
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
    """While this is open, errors of the factories that are attributes of the model name the attribute.

    A model keeps each of its factories under the name of the argument.
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
    """Whether this is an optimizer class, or a partial of one as the parser makes them."""
    candidates = (value.func, *value.args) if isinstance(value, partial) else (value,)
    return any(inspect.isclass(each) and issubclass(each, Optimizer) for each in candidates)


def _call(name: str, factory: Callable[..., Optimizer], *args: Any, **kwargs: Any) -> Optimizer:
    try:
        return factory(*args, **kwargs)
    except (ValueError, RuntimeError, UserError) as error:
        raise UserError(f"model.{name}: {one_line(error)}") from error
