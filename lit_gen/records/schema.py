"""Reading and writing frozen dataclasses as parsed JSON: the type hints are the schema.

A dataclass with a field `extra` grows: it keeps the keys that it does not know in that field, and `encode` writes
them back. One without such a field allows no other keys than its own. Of one with a class attribute `shared` that is
true, equal objects are read once: thousands of records state a few protocols.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import json
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
        ValueError: A key is unknown (to a dataclass without `extra`) or missing (where it has no default), a type is
            wrong, a number is not finite, or a dataclass raises the error itself; the message names the path.

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


def encode(value: Any) -> Any:
    """The tree of plain values that `decode` reads a value from.

    Args:
        value: A dataclass, a mapping or sequence of such, or a plain value. A dataclass with a method `stated` is
            written as what that returns.

    Raises:
        ValueError: A key of `extra` is a field's name.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if hasattr(value, "stated"):
            return encode(value.stated())
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        extra = fields.pop("extra", {})
        if clash := sorted(fields.keys() & extra.keys()):
            raise ValueError(f"'{clash[0]}' is a field of {type(value).__name__} and cannot be one of its extra keys")
        return {name: encode(item) for name, item in {**fields, **extra}.items()}
    if isinstance(value, collections.abc.Mapping):
        return {key: encode(item) for key, item in value.items()}
    return [encode(item) for item in value] if isinstance(value, list | tuple) else value


def unknown_keys(value: Any, where: str = "") -> list[str]:
    """Dotted paths of all keys that were kept in an `extra`, such as `scores[].protocol.resolution`, each once.

    Args:
        value: A dataclass, or a sequence or mapping of such.
        where: Dotted path of the value.
    """
    found: list[str] = []
    if dataclasses.is_dataclass(value):
        prefix = f"{where}." if where else ""
        found += [prefix + name for name in getattr(value, "extra", ())]
        for name in _nested(value if isinstance(value, type) else type(value)):
            item = getattr(value, name)
            if item:
                found += unknown_keys(item, prefix + name)
    elif isinstance(value, list | tuple):
        for item in value:
            found += unknown_keys(item, f"{where}[]")
    return list(dict.fromkeys(found))


_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})


@functools.cache
def _nested(cls: type) -> tuple[str, ...]:
    """Names of the fields that may hold dataclasses."""
    found = []
    for name, hint in _known_hints(cls).items():
        parts = {hint, *typing.get_args(hint)}
        if any(dataclasses.is_dataclass(part) for part in parts):
            found.append(name)
    return tuple(found)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@functools.cache
def _required(cls: type) -> frozenset[str]:
    fields = dataclasses.fields(cls)
    return frozenset(f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING)


@functools.cache
def _known_hints(cls: type) -> dict[str, Any]:
    return {name: hint for name, hint in _hints(cls).items() if name != "extra"}


@functools.cache
def _scalars(cls: type) -> dict[str, frozenset[type]]:
    """For each field of a dataclass, the types of plain values that it takes as they are."""
    found = {}
    for name, hint in _known_hints(cls).items():
        union = typing.get_origin(hint) in (typing.Union, types.UnionType)
        found[name] = frozenset(typing.get_args(hint) if union else (hint,)) & _PLAIN_TYPES
    return found


def _dataclass(cls: type, value: Any, where: str) -> Any:
    _expect(dict, value, where)
    if not getattr(cls, "shared", False):
        return _built(cls, value, where)
    key = json.dumps(value, sort_keys=True)
    if (found := _SHARED.get((cls, key))) is None:
        if len(_SHARED) >= _MOST_SHARED:
            _SHARED.clear()
        found = _SHARED[cls, key] = _built(cls, value, where)
    return found


_SHARED: dict[tuple[type, str], Any] = {}
_MOST_SHARED = 4096


def _built(cls: type, value: Any, where: str) -> Any:
    hints = _known_hints(cls)
    prefix = f"{where}." if where else ""
    unknown = [name for name in value if name not in hints]
    if unknown and "extra" not in _hints(cls):
        raise ValueError(f"unknown key '{prefix}{unknown[0]}'{nearest(unknown[0], hints)}")
    for name in hints:
        if name not in value and name in _required(cls):
            raise ValueError(f"missing key '{prefix}{name}'")
    as_is = _scalars(cls)
    items = {}
    for name, hint in hints.items():
        if name in value:
            item = value[name]
            # Most values need no look at their hint, which takes most of the time of reading a record.
            fits = type(item) in as_is[name] and _is_sound(item)
            items[name] = item if fits else decode(hint, item, prefix + name)
    if unknown:
        items["extra"] = {name: _plain(value[name], prefix + name) for name in unknown}
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
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _is_sound(value: Any) -> bool:
    """Whether a tree of parsed JSON holds finite numbers and texts that can be written alone."""
    kind = type(value)
    if kind is str:
        return _writable(value)
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return all(map(_is_sound, value.values()))
    return all(map(_is_sound, value)) if kind is list else kind in _PLAIN_TYPES


def _plain(value: Any, where: str) -> Any:
    if _is_sound(value):
        return value
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
