"""Rejects null for arguments of classes that do not take it, which the parser lets pass."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types
import typing
from typing import Any

from lit_gen.errors import UserError

_LINKED = ("shape", "num_levels")  # of a model; they come from the data


def check_nulls(config: Any, where: str = "") -> None:
    """Validates that no argument of a class is null whose annotation excludes it.

    Args:
        config: A configuration of plain values, in which ``class_path`` and ``init_args`` name a class.
        where: Dotted name of it.

    Raises:
        UserError: If one is; the message names it and its type.
    """
    if not isinstance(config, dict):
        return
    arguments = config.get("init_args")
    if isinstance(config.get("class_path"), str) and isinstance(arguments, dict):
        _check_arguments(_class_at(config["class_path"]), arguments, where)
    for name, value in config.items():
        check_nulls(value, where if name == "init_args" else f"{where}.{name}" if where else str(name))


def _check_arguments(cls: Any, arguments: dict[str, Any], where: str) -> None:
    hints = _hints(cls)
    for name, value in arguments.items():
        hint = hints.get(name)
        if value is None and hint is not None and not _takes_null(hint) and name not in _LINKED:
            kind = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
            raise UserError(f"{where}.{name} is null; give a value of type {kind}, or leave it out")
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            _check_arguments(hint, value, f"{where}.{name}")


def _takes_null(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_takes_null(part) for part in typing.get_args(hint))
    return hint in (None, type(None), Any, object, inspect.Parameter.empty)


def _hints(cls: Any) -> dict[str, Any]:
    """Annotations of all arguments that a class and its bases take; empty where they cannot be resolved."""
    found: dict[str, Any] = {}
    for base in reversed(inspect.getmro(cls) if inspect.isclass(cls) else (cls,)):
        function = vars(base).get("__init__") if inspect.isclass(base) else base
        if function is None:
            continue
        try:
            found |= typing.get_type_hints(function)
        except (NameError, TypeError):
            continue
    return found


def _class_at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
