"""Strict reading of frozen dataclasses from parsed JSON: the type hints are the schema."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import math
import types
import typing
from typing import Any

from lit_gen.errors import nearest


def decode(hint: Any, value: Any, where: str) -> Any:
    """A value of the hinted type, out of what `json.loads` returns.

    Args:
        hint: A dataclass, a scalar type, `Literal`, a union, `Mapping[str, X]`, `Sequence[X]`, or `Any` for a
            tree of plain values.
        value: Parsed JSON.
        where: Dotted path of the value, for messages.

    Raises:
        ValueError: An unknown or missing key, a wrong type, a number that is not finite, or whatever a
            dataclass refuses; the message names the path.

    >>> decode(float | None, 3, "cost.train_seconds")
    3.0
    """
    if dataclasses.is_dataclass(hint):
        return _dataclass(typing.cast(type, hint), value, where)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return _plain(value, where)
    if origin in (typing.Union, types.UnionType):
        return _union(args, value, where)
    if origin is typing.Literal:
        return _literal(args, value, where)
    if origin is collections.abc.Mapping:
        _expect(dict, value, where)
        return {key: decode(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is collections.abc.Sequence:
        _expect(list, value, where)
        return tuple(decode(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    return _scalar(hint, value, where)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _dataclass(cls: type, value: Any, where: str) -> Any:
    _expect(dict, value, where)
    hints = _hints(cls)
    prefix = f"{where}." if where else ""
    for name in value:
        if name not in hints:
            raise ValueError(f"unknown key '{prefix}{name}'{nearest(name, hints)}")
    for name in hints:
        if name not in value:
            raise ValueError(f"missing key '{prefix}{name}'")
    items = {name: decode(hint, value[name], prefix + name) for name, hint in hints.items()}
    try:
        return cls(**items)
    except ValueError as error:
        raise ValueError(f"{where}: {error}" if where else str(error)) from error


def _union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    # Every union of the schema is "X or null", or one of plain scalars: the first member of the value's own
    # type is meant, and an integer may stand for a float.
    if value is None and type(None) in args:
        return None
    for hint in args:
        if type(value) is hint:
            return _scalar(hint, value, where)
    left = [hint for hint in args if hint is not type(None)]
    return decode(left[0], value, where) if len(left) == 1 else _wrong(left, value, where)


def _literal(args: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, str) or value not in args:
        raise ValueError(f"'{where}' must be one of {', '.join(map(str, args))}, got {value!r}")
    return value


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and type(value) is int:
        value = float(value)
    _expect(hint, value, where)
    if isinstance(value, str) and not _writable(value):
        raise ValueError(f"'{where}' holds half a character (a lone surrogate)")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"'{where}' is not finite: {value}")
    return value


def _writable(text: str) -> bool:
    # JSON's escapes can spell what no file can hold.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    return _scalar(type(value), value, where)


def _expect(hint: Any, value: Any, where: str) -> None:
    # `type is`, as to isinstance a boolean is an integer.
    if type(value) is not hint:
        _wrong([hint], value, where)


_JSON_NAMES = {dict: "an object", list: "a list", str: "text", int: "a whole number", float: "a number",
               bool: "true or false", type(None): "null"}


def _wrong(hints: list[Any], value: Any, where: str) -> typing.NoReturn:
    wanted = " or ".join(_JSON_NAMES.get(hint, str(hint)) for hint in hints)
    got = _JSON_NAMES.get(type(value), type(value).__name__)
    raise ValueError(f"'{where}' must be {wanted}, got {got}" if where else f"must be {wanted}, got {got}")
