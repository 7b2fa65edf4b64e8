"""Options that a record names are not the user's: only such as set lit_gen's own values are used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lit_gen.cli.config_files import load_yaml
from lit_gen.errors import UserError

_NAME = re.compile(r"--([A-Za-z_]\w*(?:[.-]\w+)*\+?)")
_IMPORT_PATH = re.compile(r"\s*[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\s*")
_SAMPLING = frozenset({"sampler", "steps", "guidance", "temperature", "truncation"})
_SECTIONS = frozenset(
    {"scoring", "quality", "data", "model", "ema", "grid", "trainer", "seed_everything", "compile", "tf32"}
)
# These hold classes of Lightning, any of which may write files or start programs; their switches are harmless.
_LIGHTNING = frozenset({"callbacks", "logger", "plugins", "profiler"})
_SWITCHES = frozenset({"null", "true", "false"})
# Options whose value is the path of data. Any other option would read a file as a configuration.
_PATHS = frozenset({"path", "root", "weights", "default_root_dir"})
# Options that only write.
_OUTPUTS = frozenset({"per-example", "per_example"})


class Option(NamedTuple):
    """One option of a command line.

    Attributes:
        name: Its name, without dashes.
        values: Its values; one for `--name=value`.
    """

    name: str
    values: tuple[str, ...]


def options_of(arguments: Sequence[str]) -> list[Option]:
    """Splits a command line into options.

    Raises:
        UserError: An argument is neither an option nor the value of one.

    >>> options_of(["--steps", "10", "20", "--scoring.draws=2"])
    [Option(name='steps', values=('10', '20')), Option(name='scoring.draws', values=('2',))]
    """
    found: list[Option] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if named := _NAME.fullmatch(name):
            found.append(Option(named[1], (value,) if equals else ()))
        elif found and (not argument.startswith("-") or re.match(r"-\.?\d", argument)):
            found[-1] = Option(found[-1].name, (*found[-1].values, argument))
        else:
            raise UserError(f"{argument!r} is not an option of a section, such as --scoring.draws=2")
    return found


def usable(arguments: Sequence[str], passed: Sequence[str], where: Path) -> list[str]:
    """Recorded arguments without those that only write files.

    Args:
        arguments: The recorded arguments.
        passed: The user's own, which permit what they repeat.
        where: The record's file, for messages.

    Raises:
        UserError: An argument could run or read something else than lit_gen's own options do.
    """
    kept = []
    permitted = _permitted(passed)
    try:
        recorded = options_of(arguments)
    except UserError as error:
        raise UserError(f"{where}: recorded argument {error}; it is not used") from error
    for option in recorded:
        if option.name in _OUTPUTS:
            continue
        if option not in permitted and (problem := _problem(option)):
            raise UserError(
                f"{where}: recorded option --{option.name} {problem}; it is used only if it is given here too,"
                f" as {' '.join(_words(option))!r}"
            )
        kept += _words(option)
    return kept


def _words(option: Option) -> list[str]:
    if len(option.values) == 1:
        return [f"--{option.name}={option.values[0]}"]
    return [f"--{option.name}", *option.values]


def _permitted(passed: Sequence[str]) -> list[Option]:
    try:
        return options_of(passed)
    except UserError:
        return []  # the parser of the options says so in its own words


def _problem(option: Option) -> str | None:
    """Why a recorded option is not used; None if it is."""
    parts = option.name.rstrip("+").split(".")
    if parts[0] not in _SECTIONS and not (parts[0] in _SAMPLING and len(parts) == 1):
        return "is none that decides a score"
    if "help" in parts or "config" in parts:
        return "does not set a value"
    switched = len(parts) == 2 and set(option.values) <= _SWITCHES
    if parts[0] == "trainer" and len(parts) > 1 and parts[1] in _LIGHTNING and not switched:
        return "adds objects to the Trainer"
    if parts[-1] in _PATHS:
        return None
    for text in (text for value in option.values for text in _texts(value)):
        if _IMPORT_PATH.fullmatch(text) and text.strip().partition(".")[0] != "lit_gen":
            return f"names {text.strip()!r}, which is not a class of lit_gen"
        if _is_file(text):
            return f"names the file {text!r}"
    return None


def _texts(value: str) -> Iterator[str]:
    """A value itself and all texts inside it, if it is YAML."""
    yield value
    try:
        tree = load_yaml(value)
    except yaml.YAMLError:
        return
    yield from _leaves(tree)


def _leaves(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, item in tree.items():
            yield from _leaves(key)
            yield from _leaves(item)
    elif isinstance(tree, list | tuple | set):
        for item in tree:
            yield from _leaves(item)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long, or with a null character
        return False
