"""Which packages the class paths of a configuration may name: a class path is imported, so that its package runs."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import _common, set_parsing_settings

from lit_gen.cli.plugins import plugin_packages
from lit_gen.errors import UserError
from lit_gen.stopping.processes import is_first_process

OF_CHECKPOINTS = ("lit_gen", "torch.optim", "torch.nn", "torchmetrics")
"""What the configuration in a checkpoint may name, beside installed plugins."""

_OF_LIGHTNING = ("accelerators", "callbacks", "loggers", "plugins", "profilers", "strategies")
OF_USERS = (
    *OF_CHECKPOINTS,
    *(f"lightning.pytorch.{part}" for part in _OF_LIGHTNING),
    "lightning.fabric.plugins",
    "lightning.Callback",  # by which the parser names the base of callbacks
)
"""What a command line and its files may name without a word."""

# Their constructors import what a string names, which is for the command line alone.
_NOT_OF_CHECKPOINTS = ("lit_gen.entries",)
_SETTINGS = ("import_path_verdicts", "import_paths_enforced")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_CONFIG = ("--config", "-c")
_said: set[str] = set()


@contextmanager
def import_paths(allowed: Sequence[str], denied: Sequence[str] = ()) -> Iterator[None]:
    """Context in which values that are parsed may name these packages, and installed plugins, alone.

    Args:
        allowed: Packages and modules; what lies below one is allowed too.
        denied: Exceptions among them.
    """
    settings: dict[str, Any] = _common.parsing_settings
    before = {name: settings[name] for name in _SETTINGS}
    set_parsing_settings(
        import_path_denylist=["*", *denied], import_path_allowlist=[*allowed, *plugin_packages()]
    )
    try:
        yield
    finally:
        settings.update(before)


@contextmanager
def of_checkpoint(allow: Sequence[str]) -> Iterator[None]:
    """Context in which the configuration of a checkpoint is parsed.

    Args:
        allow: Further packages that the user trusts.
    """
    with import_paths([*OF_CHECKPOINTS, *allow], _NOT_OF_CHECKPOINTS):
        yield


def checked_packages(packages: Sequence[str]) -> list[str]:
    """Names of packages that a user allows.

    Raises:
        UserError: If one is no name of a package.
    """
    for package in packages:
        if not _PATH.fullmatch(f"{package}.x") or package.partition(".")[0] == "jsonargparse":
            raise UserError(f"--allow={package}: give the name of a package, such as --allow=my_models")
    return list(packages)


def named_packages(args: Sequence[str]) -> list[str]:
    """Top-level packages beyond the usual ones whose classes the user's own options and files name.

    A line on stderr says so, once for each package.

    Args:
        args: A command line of ``lit_gen.fit``.
    """
    known = {path.partition(".")[0] for path in OF_USERS} | set(plugin_packages())
    tops = {path.partition(".")[0] for path in _named(args)} - known
    found = sorted(top for top in tops if _can_be_imported(top))
    for package in found:
        if package not in _said and is_first_process():
            sys.stderr.write(f"classes      of the package {package} are used, which the configuration names\n")
        _said.add(package)
    return found


def _named(args: Sequence[str]) -> Iterator[str]:
    """Values of the options, and strings of the files, that have the form of an import path."""
    for i, arg in enumerate(args):
        value = arg.partition("=")[2] if arg.startswith("-") else arg
        if _PATH.fullmatch(value):
            yield value
        file = value if arg.startswith("--config=") else "".join(args[i + 1 : i + 2]) if arg in _CONFIG else ""
        if file and Path(file).is_file():
            # A file that cannot be read is answered by the parser.
            with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
                # All values as their text: what a tag or the form of a date claims may raise anything.
                yield from _strings(yaml.load(Path(file).read_text(encoding="utf-8"), yaml.BaseLoader))


def _strings(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        if _PATH.fullmatch(tree):
            yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _strings(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _strings(value)


def _can_be_imported(package: str) -> bool:
    """Whether there is such a package or module; ``runs.old`` and ``data.npz`` are mostly files."""
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None
