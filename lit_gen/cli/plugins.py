"""Packages whose classes a configuration may name: lit_gen's own, those it stands on, and installed plugins."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from typing import Any

from lit_gen.errors import UserError, print_warning

GROUP = "lit_gen.plugins"
"""Group of entry points by which a package announces itself."""

BUILT_IN = ("lit_gen", "torch", "lightning", "torchmetrics")
"""Top-level packages whose classes need no permission."""


def plugin_packages() -> tuple[str, ...]:
    """Top-level packages of the installed plugins, sorted; nothing is imported.

    A plugin is a distribution with an entry point of the group ``lit_gen.plugins``, whose value is the module that
    defines its classes.
    """
    return tuple(sorted({point.value.partition(":")[0].partition(".")[0] for point in entry_points(group=GROUP)}))


def import_plugins() -> None:
    """Imports the modules that plugins announce, so that their classes have short names on the command line.

    A plugin that cannot be imported is a warning: a run that does not use it must not end.
    """
    for point in entry_points(group=GROUP):
        try:
            importlib.import_module(point.value.partition(":")[0])
        except Exception as error:  # of any type: it is another package's code
            print_warning(f"the plugin {point.name} cannot be imported ({type(error).__name__}: {error}); update it")


def check_class_paths(config: Any, allow: Sequence[str] = (), where: str = "") -> None:
    """Validates that the classes of a configuration are of packages that may be imported.

    Args:
        config: The configuration, nested plain values.
        allow: Further top-level packages.
        where: Beginning of the message: the file.

    Raises:
        UserError: If a class is of another package.
    """
    known = {*BUILT_IN, *plugin_packages(), *allow}
    for path in named_classes(config):
        package = path.partition(".")[0]
        if package != path and package not in known:
            raise UserError(
                f"{where}the configuration names the class {path}, and loading runs the code of its package; if you"
                f" trust it: allow=['{package}']"
            )


def named_classes(config: Any) -> Iterator[str]:
    """Yields the class paths of a configuration, at any depth."""
    if isinstance(config, dict):
        if isinstance(path := config.get("class_path"), str):
            yield path
        for value in config.values():
            yield from named_classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from named_classes(value)
