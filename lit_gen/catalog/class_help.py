"""``lit-gen help VDM``: one class on one screen: what it is, its arguments with defaults, and how to choose it."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import textwrap
from pathlib import Path

from lit_gen.catalog.sources import (
    PACKAGE,
    Parameter,
    Source,
    ancestors,
    classes_below,
    find_class,
    first_sentence,
)
from lit_gen.cli.plugins import plugin_packages
from lit_gen.errors import UserError, nearest

# How a class is chosen, by the base that it derives from.
_CHOSEN = {
    "GenerativeModule": "--model={name}, and its arguments as --model.{argument}=VALUE",
    "DiscreteDataModule": "--data={name}, and its arguments as --data.{argument}=VALUE",
    "FeatureSpace": "--quality.extractor={name}",
    "Statistic": "--quality.statistics+={name}",
}
# Groups of options and the class whose arguments they are.
GROUPS = {
    "budget": "Budget", "schedule": "Schedule", "ema": "EMA", "checkpoint": "BestCheckpoint", "grid": "SampleGrid",
    "quality": "SampleQuality", "scoring": "Scoring", "wandb": "Wandb",
}  # fmt: skip
_MOST_WIDE = 120


def class_help(name: str, others: list[str]) -> str:
    """The help of a class.

    Args:
        name: Its name, a class path, or a group of options such as ``scoring``.
        others: Other names that may have been meant, for the message.

    Raises:
        UserError: If there is no such class.
    """
    found = _of_path(name) if "." in name else find_class(GROUPS.get(name, name)) or _of_plugins(name)
    if found is None:
        known = [*others, *GROUPS, *_all_names()]
        hint = nearest(name, known) or "; 'lit-gen list' shows models, data, feature spaces and statistics"
        raise UserError(f"help: there is no command or class '{name}'{hint}")
    return "\n".join(_lines(found, min(shutil.get_terminal_size((_MOST_WIDE, 24)).columns, _MOST_WIDE)))


def _lines(source: Source, width: int) -> list[str]:
    lines = [f"{source.module}.{source.name}", ""]
    lines += textwrap.wrap(" ".join(source.paragraphs.split("\n\n")[0].split()), width)
    parameters = source.parameters()
    if parameters:
        lines += ["", "arguments:"]
    for parameter in parameters:
        lines += _argument(parameter, width)
    chosen = _chosen(source, parameters)
    lines += ["", f"chosen by   {chosen}"] if chosen else []
    references = " ".join(source.section("References").split())
    lines += textwrap.wrap(references, width, initial_indent="reference   ", subsequent_indent=" " * 12)
    return lines


def _argument(parameter: Parameter, width: int) -> list[str]:
    kind = f": {parameter.type}" if parameter.type else ""
    head = f"  {parameter.name}{kind}" + ("" if parameter.default is None else f" = {parameter.default}")
    text = first_sentence(parameter.text)
    return [head, *textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)]


def _chosen(source: Source, parameters: list[Parameter]) -> str:
    group = next((group for group, name in GROUPS.items() if name == source.name), None)
    argument = parameters[0].name if parameters else "NAME"
    if group is not None:
        return f"--{group}.{argument}=VALUE"
    of_package = [*source.bases, *(each for base in source.bases for each in ancestors(base))]
    for base in of_package:
        if base in _CHOSEN:
            return _CHOSEN[base].format(name=source.name, argument=argument)
    options = [base for base in source.bases if (found := find_class(base)) and found.is_abstract]
    return f"an option of a model or data module that takes a {options[0]}" if options else ""


def _of_path(path: str) -> Source | None:
    """A class of any package by its import path: the source of its module is read, or of the one that it is from."""
    module, _, name = path.rpartition(".")
    file = _file_of(module)
    if file is None:
        return find_class(name) if module.startswith("lit_gen") else None
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return Source(file, module, node)
        if isinstance(node, ast.ImportFrom) and node.module and name in [alias.name for alias in node.names]:
            return _of_path(f"{module if node.level else ''}{'.' * bool(node.level)}{node.module}.{name}")
    return find_class(name) if module.startswith("lit_gen") else None


def _of_plugins(name: str) -> Source | None:
    """A class of an installed plugin by its short name."""
    return next((found for package in plugin_packages() if (found := _of_path(f"{package}.{name}"))), None)


def _file_of(module: str) -> Path | None:
    """The source of a module; of one inside a package, the package is imported."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None


def _all_names() -> list[str]:
    folders = ("families", "nets", "data", "metrics", "optim")
    return [s.name for folder in folders for s in classes_below(PACKAGE / folder) if not s.is_abstract]
