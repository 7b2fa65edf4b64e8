"""Checks of configuration files that the parser would misread, or take hours or all memory for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse._loaders_dumpers import get_yaml_default_loader

from lit_gen.errors import UserError

_OPTION = "--config"
_MOST_BYTES = 2**20
_MOST_VALUES = 100_000
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def check_config_files(args: Sequence[str]) -> None:
    """Validates the files that a command line gives as ``--config``.

    A file that does not exist is left to the parser.

    Args:
        args: The command line.

    Raises:
        UserError: If a file is empty, too large, not UTF-8, not YAML, has a key twice in one mapping, or expands its
            aliases to too many values; the message names the file and the line.
    """
    for path in _given(args):
        if path.is_file():
            _check_file(path)


def _given(args: Sequence[str]) -> Iterator[Path]:
    for i, arg in enumerate(args):
        if arg.startswith(f"{_OPTION}="):
            yield Path(arg.removeprefix(f"{_OPTION}="))
        elif arg in (_OPTION, "-c") and i + 1 < len(args):
            yield Path(args[i + 1])


def _check_file(path: Path) -> None:
    where = f"{_OPTION}: {path}"
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise UserError(f"{where} has {size:,} bytes, and a configuration at most {_MOST_BYTES:,}; give a YAML file")
    text = _decoded(path.read_bytes(), where)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UserError(f"{where}, line {line}: not YAML: {error.problem or error.context}; correct it") from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise UserError(f"{where}, line {line}: not YAML: it has a control character; remove it") from error
    except RecursionError as error:
        raise UserError(f"{where} is nested too deeply; correct it") from error
    if root is None:
        raise UserError(f"{where} is empty; write options into it, such as 'budget: ...', or leave it out")
    _count(root, {}, where)
    try:
        load_yaml(text, get_yaml_default_loader())
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML: {error}; correct it, or remove its tag (!!...)") from error


def load_yaml(text: str, loader: Any = yaml.SafeLoader) -> Any:
    """A YAML document as plain values.

    Args:
        text: The document.
        loader: What reads it; one that builds plain values alone.

    Raises:
        yaml.YAMLError: It is none, is nested too deeply, or a value does not have the form that its tag asks for, of
            which PyYAML raises whatever happens first: ``!!timestamp x`` is an AttributeError.
    """
    try:
        return yaml.load(text, loader)
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
        raise yaml.YAMLError(f"a value cannot be read: {error}") from error


def _decoded(content: bytes, where: str) -> str:
    if content.startswith(_UTF16) or b"\0" in content:
        raise UserError(f"{where}, line 1: this is UTF-16 or no text; save the file as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{where}, line {line}: the byte 0x{content[error.start]:02x} is not UTF-8, but perhaps Latin-1;"
            " save the file as UTF-8"
        ) from error


def _count(node: yaml.Node, counted: dict[int, int | None], where: str) -> int:
    """Number of values of a node with its aliases expanded; each node is visited once.

    Args:
        node: Node of a document.
        counted: The numbers of nodes that were visited, by identity; None for those that are being visited.
        where: The file, for messages.
    """
    line = node.start_mark.line + 1
    if id(node) in counted:
        known = counted[id(node)]
        if known is None:
            raise UserError(f"{where}, line {line}: this value contains itself; write it out without an alias")
        return known
    counted[id(node)] = None
    if isinstance(node, yaml.MappingNode):
        _check_keys(node, where)
        children = [child for pair in node.value for child in pair]
    else:
        children = node.value if isinstance(node, yaml.SequenceNode) else []
    total = 1 + sum(_count(child, counted, where) for child in children)
    if total > _MOST_VALUES:
        raise UserError(
            f"{where}, line {line}: with its aliases, this has more than {_MOST_VALUES:,} values; shorten it"
        )
    counted[id(node)] = total
    return total


def _check_keys(node: yaml.MappingNode, where: str) -> None:
    """Rejects a key that stands twice, of which the parser would drop the first value."""
    first: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line = key.start_mark.line + 1
        if key.value in first:
            raise UserError(
                f"{where}, line {line}: the key '{key.value}' stands in line {first[key.value]} already; keep one of"
                " the two"
            )
        first[key.value] = line
