"""Installed packages that add classes to lit_gen, and the classes that a configuration names."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

from lit_gen.errors import print_warning

GROUP = "lit_gen.plugins"
"""Group of entry points by which a package announces itself."""


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
