"""Parser errors in one line, with the whole dotted key and the nearest valid name.

jsonargparse reports every branch of every union and the given value in some ten lines. This module extracts the
innermost key and reason. The arguments of a class are parsed by an inner parser: its error, a
:class:`BadArgument`, is the cause of the outer parser's error, which prepends its own key.
"""

from __future__ import annotations

import collections.abc
import inspect
import re
import typing
from pathlib import Path
from typing import Any

from lit_gen.errors import UserError, nearest


class BadArgument(UserError, TypeError):  # noqa: N818
    """An invalid argument; a TypeError because jsonargparse prepends outer keys to those.

    Args:
        key: Dotted name of the argument; empty if the whole input is invalid.
        reason: What is wrong.
        value: The rejected value, if there is one.
        line: The whole message; ``key: reason`` if not given.
    """

    def __init__(self, key: str, reason: str, value: str = "", line: str = "") -> None:
        super().__init__(line or (f"{key}: {reason}" if key else reason))
        self.key, self.reason, self.value = key, reason, value


def explain(message: str, parser: Any, cause: BaseException | None = None) -> BadArgument:
    """Reduces a parser's message to one line.

    Args:
        message: The parser's message.
        parser: The parser; its options are the valid names.
        cause: The exception that the parser reports.
    """
    text = message.strip()
    if found := re.search(r"Importing '([^']+)' is not allowed", text):
        return BadArgument(_key(text), _not_allowed(found[1]), found[1])
    if inner := _inner_problem(cause):
        key = ".".join(part for part in (_key(text), inner.key) if part)
        return BadArgument(key, inner.reason, inner.value)
    return _about_a_file(text) or _about_an_option(text, parser) or _about_a_value(text, parser)


def _not_allowed(path: str) -> str:
    package = path.partition(".")[0]
    if package in ("lit_gen", "torch", "lightning", "jsonargparse"):
        return f"the class {path} cannot be named here"
    return (
        f"the class {path} is not of lit_gen, and is imported only if its package is allowed; if you trust it, give"
        f" --allow={package} (in Python, allow=['{package}'])"
    )


def _inner_problem(error: BaseException | None) -> BadArgument | None:
    """Returns the error of the inner parser, if that is the cause."""
    while error is not None and not isinstance(error, BadArgument):
        error = error.__cause__
    return error


def _key(text: str) -> str:
    return ".".join(re.findall(r'Parser key "([^"]+)"', text))


# -------------------------------------------------------------- files and options


def _about_a_file(text: str) -> BadArgument | None:
    reason = ""
    if found := re.search(r"File does not exist: '([^']*)'", text):
        reason = _missing_file(Path(found[1]))
    elif found := re.search(r"Path is not a file: '([^']*)'", text):
        reason = f"{found[1]} is a folder; give a YAML file"
    elif found := re.match(r"Unexpected config: (.*)", text, re.DOTALL):
        reason = f"'{_one_line(found[1])}' is not a mapping of options, such as 'model: ...'"
    elif found := re.match(r"Key must be a string, got: (.*)", text):
        reason = f"the key {found[1].rstrip('.')} is not text; put it in quotes, or correct it"
    elif found := re.search(r"Problems parsing config: (.*)", text, re.DOTALL):
        reason = f"not YAML: {_one_line(found[1])}"
    return BadArgument("--config", reason) if reason else None


def _missing_file(path: Path) -> str:
    hint = nearest(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else ""
    return f"there is no file {path}{hint}"


def _about_an_option(text: str, parser: Any) -> BadArgument | None:
    if found := re.match(r"unrecognized arguments: (\S*)", text):
        return _unknown_option(found[1].split("=")[0], parser)
    if found := re.match(r"argument (?:-\w/)?(--\S+): (.*)", text, re.DOTALL):
        return BadArgument(found[1], _one_line(found[2]))
    if found := re.match(r"Group '([^']+)' is not a mapping: (.*)", text, re.DOTALL):
        return _no_mapping(found[1], _one_line(found[2]), parser)
    if found := re.match(r"Parser key \"([^\"]+)\":\s+Unable to load config '(.*)'\n", text, re.DOTALL):
        return _no_mapping(found[1], f"'{_one_line(found[2])}'", parser)
    if found := re.search(r"Group '([^']+)' does not accept option '([^']+)'", text):
        return _unknown_key(found[1], found[2], _options_below(parser, found[1]))
    if (found := re.match(r"Option '([^']+)' is not accepted", text)) and "Parser key" not in text:
        return _unknown_option(found[1], parser)
    if found := re.search(r"arguments are required: (.*)|(\S.*) must be given", text):
        return BadArgument(_key(text), f"{found[1] or found[2].strip('- ')} must be given")
    return None


def _unknown_option(option: str, parser: Any) -> BadArgument:
    name = option.lstrip("-")
    options = [a.dest for a in parser._actions if a.dest not in ("help", "==SUPPRESS==")]
    if not is_inner(parser):
        line = f"unknown option {option}{nearest(name, options)}"
        return BadArgument(name, "unknown option", line=line)
    if name == "class_path":
        return BadArgument("", "put the arguments of the class under init_args, next to class_path")
    return _unknown_key("", name, [o for o in options if not o.endswith(".help") and o != "print_shtab"])


def is_inner(parser: Any) -> bool:
    """Whether a parser is for the arguments of a class, inside another parser."""
    return getattr(parser, "_inner_parser", False)


def _unknown_key(where: str, name: str, valid: list[str]) -> BadArgument:
    hint = nearest(name, valid) or ("; valid are " + ", ".join(sorted(valid)) if valid else "")
    return BadArgument(f"{where}.{name}".strip("."), f"unknown key{hint}")


def _no_mapping(group: str, value: str, parser: Any) -> BadArgument:
    names = [name for name in _options_below(parser, group) if not name.endswith(".help")]
    example = f", such as '{names[0]}: ...'" if names else ""
    return BadArgument(group, f"{value} is not a mapping of options{example}", value)


def _options_below(parser: Any, group: str) -> list[str]:
    start = f"{group}."
    return [a.dest.removeprefix(start) for a in parser._actions if a.dest.startswith(start)]


# -------------------------------------------------------------- values


def _about_a_value(text: str, parser: Any) -> BadArgument:
    """A value that its type rejects."""
    key = _key(text)
    value = _one_line((re.findall(r"Got value: (.*)", text) or re.findall(r"Given value: (.*)", text) or [""])[0])
    types = [t for t in re.findall(r"Expected an? <class '(\w+)'>", text) if t != "NoneType"]
    numeric = {"int", "float"} & {*types}
    if not numeric and re.search(
        "subclass of|import path|Problem with given class_path|instantiatable class|callable class", text
    ):
        return _not_a_class(text, key, parser)
    if choices := re.findall(r"Literal\[([^\]]+)\]", text):
        return BadArgument(key, _not_one_of(value, choices), value)
    if types and value:
        return BadArgument(key, f"'{value}' is not {_article(types)}", value)
    reason = re.split(r"Errors:|Given value", text)[1] if "Errors:" in text else text
    reason = re.sub(r"\s- Expected a <class 'NoneType'>", "", re.sub(r'Parser key "[^"]+":?', "", reason))
    return BadArgument(key, _one_line(reason), value)


def _not_one_of(given: str, choices: list[str]) -> str:
    """Message for a value that is not one of a Literal's choices, or of a union's."""
    valid = list(dict.fromkeys(c.strip().strip("'") for literal in choices for c in literal.split(",")))
    return f"'{given}' is not one of {', '.join(valid)}{nearest(given, valid)}"


def _article(types: list[str]) -> str:
    words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "tuple": "a list"}
    words["list"] = "a list, such as [A, B]"
    return " or ".join(dict.fromkeys(words.get(t, t) for t in types))


def _not_a_class(text: str, key: str, parser: Any) -> BadArgument:
    given = _given_class(text)
    if given.startswith("NestedArg("):
        reason = "an argument comes before the class that has it; name the class first, here or in --config"
        return BadArgument(key, reason)
    base = _base_class(key, parser)
    if base is None:
        return BadArgument(key, f"'{given}' is not a class that can be imported", given)
    known, kind = _subclasses(base), base.__name__
    names = ", ".join(sorted(known))
    article = "an" if kind[0] in "AEIOU" else "a"
    if "is abstract" in text:
        return BadArgument(key, f"{given.rsplit('.', 1)[-1]} is abstract; choose one of {names}")
    hint = nearest(given.rsplit(".", 1)[-1], known)
    return BadArgument(key, f"'{given}' is not {article} {kind}{hint} (known: {names})", given)


def _given_class(text: str) -> str:
    """The class path or other value that was given for a class."""
    patterns = (
        r"class_path'?[:=] ?'([^']+)'",
        r"Given value: (.*)",
        r"Expected a path but (.*) either",
        r"Got value: (.*)",
        r"path string: (.*)",
    )
    return next((found[-1].strip() for pattern in patterns if (found := re.findall(pattern, text))), "")


def _base_class(key: str, parser: Any) -> type | None:
    """The class whose subclasses an argument takes, or whose instances its factories return."""
    hint = next((getattr(a, "_typehint", None) for a in parser._actions if a.dest == key), None)
    classes = [c for c in _classes(hint) if c.__module__ != "builtins"]
    return classes[-1] if classes else None


def _classes(hint: Any) -> list[type]:
    if typing.get_origin(hint) is collections.abc.Callable:
        return _classes(typing.get_args(hint)[-1])
    if inspect.isclass(hint) and getattr(hint, "_is_protocol", False):  # of factories: what they return
        return _classes(typing.get_type_hints(hint.__call__).get("return"))
    if arguments := typing.get_args(hint):
        return [cls for argument in arguments for cls in _classes(argument)]
    return [hint] if isinstance(hint, type) else []


def _subclasses(base: type) -> dict[str, type]:
    """All concrete subclasses by name, including the class itself if it has no subclasses."""
    found: dict[str, type] = {}
    queue = [base]
    while queue:
        cls = queue.pop()
        queue += cls.__subclasses__()
        if not inspect.isabstract(cls) and not cls.__name__.startswith("_"):
            found[cls.__name__] = cls
    if len(found) > 1:
        found.pop(base.__name__, None)
    return found


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip()).strip("- ")
