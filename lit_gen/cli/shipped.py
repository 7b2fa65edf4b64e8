"""Configurations and sweeps that the package carries: a path that is not on the disk is looked up there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lit_gen.errors import UserError
from lit_gen.stopping.processes import is_first_process

FOLDERS = ("configs", "sweeps")
_PACKAGE = Path(__file__).parents[1]
# Where a short name is looked for: digits/vae, data/mnist, flow/glow.
_SHORT = ("configs/recipes", "configs", "configs/families")
_OPTIONS = ("--config", "-c")
_said: set[str] = set()
_LONGEST = 200  # characters of a name; what is longer is the text of a configuration


def shipped_root() -> Path:
    """The folder that holds ``configs`` and ``sweeps``: the installed package, or the checkout."""
    return _PACKAGE if (_PACKAGE / FOLDERS[0]).is_dir() else _PACKAGE.parent


def with_shipped_configs(args: Sequence[str]) -> list[str]:
    """The command line with each ``--config`` that is not on the disk replaced by the package's file.

    A line on stderr says which file was taken, if there could be a doubt: for every file of the package, and for one on
    the disk whose name the package has too.

    Args:
        args: The command line.

    Raises:
        UserError: If a short name fits several files of the package.
    """
    found = list(args)
    for i, arg in enumerate(found):
        if arg.startswith("--config="):
            found[i] = f"--config={_resolved(arg.removeprefix('--config='))}"
        elif arg in _OPTIONS and i + 1 < len(found):
            found[i + 1] = _resolved(found[i + 1])
    return found


def shipped_file(name: str) -> Path | None:
    """A file of the package by its path, such as ``sweeps/vae.yaml``, or by its short name, such as ``digits/vae``.

    Args:
        name: The path or name; with or without ``.yaml``.

    Returns:
        The file, or None if the package has none.

    Raises:
        UserError: If a short name fits several files.
    """
    root, parts = shipped_root(), Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or not name.isprintable() or len(name) > _LONGEST:
        return None
    exact = root / name
    if parts[0] in FOLDERS and exact.is_file():
        return exact
    file = name if name.endswith(".yaml") else f"{name}.yaml"
    fitting = [path for folder in _SHORT if (path := root / folder / file).is_file()]
    if not fitting and "/" not in file:
        fitting = sorted((root / "configs").rglob(file))
    if len(fitting) > 1:
        names = ", ".join(str(path.relative_to(root)) for path in fitting)
        raise UserError(f"--config: '{name}' may be any of {names}; give one of these")
    return fitting[0] if fitting else None


def _resolved(given: str) -> str:
    try:
        on_disk = Path(given).exists()
    except OSError:  # too long for a file's name: the parser reads it as text
        return given
    try:
        ours = shipped_file(given)
    except UserError:
        if not on_disk:
            raise
        return given
    if ours is None:
        return given
    if not on_disk:
        _say(f"config       {ours} (of the package)")
        return str(ours)
    if not Path(given).samefile(ours):
        _say(f"config       {given} (on the disk; the package has such a file too)")
    return given


def _say(line: str) -> None:
    """Prints a line once in a process, which may build many runs."""
    if is_first_process() and line not in _said:
        sys.stderr.write(f"{line}\n")
    _said.add(line)
