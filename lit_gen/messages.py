"""What the parser finds wrong, told in one line with the nearest valid name.

jsonargparse tells it in ten: every branch of every union, and the value it was given. Here the innermost key and
reason are picked out. The arguments of a class are parsed by a parser of their own, whose message, already one line,
stands inside the outer one's.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lit_gen.errors import nearest


def explain(message: str, parser: Any) -> str:
    """One line out of a parser's message.

    Args:
        message: The parser's.
        parser: Its options are the valid names at the top.
    """
    text = message.strip()
    if found := re.match(r"unrecognized arguments: (.*)", text):
        return _unknown_option(found[1].split()[0], parser)
    if found := re.search(r"File does not exist: '([^']*)'", text):
        return _missing_file(Path(found[1]))
    if found := re.search(r"Path is not a file: '([^']*)'", text):
        return f"--config: {found[1]} is a folder; give a YAML file"
    if found := re.match(r"Unexpected config: (.*)", text, re.DOTALL):
        return f"--config: '{_one_line(found[1])}' is no mapping of options, such as 'model: ...'"
    if found := re.match(r"argument (?:-\w/)?(--\S+): (.*)", text, re.DOTALL):
        return f"{found[1]}: {_one_line(found[2])}"
    if found := re.search(r"Problems parsing config: (.*)", text, re.DOTALL):
        return f"--config: not YAML: {_one_line(found[1])}"
    if found := re.search(r"Group '([^']+)' does not accept option '([^']+)'", text):
        return _unknown_key(found[1], found[2], _options_below(parser, found[1]))
    if (found := re.match(r"Option '([^']+)' is not accepted", text)) and "Parser key" not in text:
        return _unknown_option(found[1], parser)
    return _inside_a_class(text)


def _inside_a_class(text: str) -> str:
    """What is wrong with a value that may itself be a class with arguments, and so on inwards."""
    key = ".".join(re.findall(r'Parser key "([^"]+)"', text))
    start = f"{key}: " if key else ""
    if found := re.search(r"unknown option ([^\s;]+)(; did you mean '[^']+'\?)?", text):  # from a class's own parser
        if found[1] == "class_path":
            return f"{start}put the class's arguments below init_args, beside class_path"
        return f"{start}unknown key '{found[1]}'{found[2] or ''}"
    if found := re.search(r"arguments are required: (.*)|(\S.*) must be given", text):
        return f"{start}{found[1] or found[2].strip('- ')} must be given"
    if re.search("subclass of|import path string|Problem with given class_path|instantiatable class", text):
        return _not_a_class(text, key)
    reason = _one_line(re.split(r"Errors:|Given value", text)[1]) if "Errors:" in text else ""
    value = re.findall(r"Got value: (.*)", text) or re.findall(r"Given value: (.*)", text)
    types = [t for t in re.findall(r"Expected an? <class '(\w+)'>", text) if t != "NoneType"]
    if choices := re.findall(r"Literal\[([^\]]+)\]", text):
        return start + _not_one_of(_one_line(value[0]) if value else "", choices)
    if types and value:
        return f"{start}'{_one_line(value[0])}' is not {_article(types)}"
    reason = re.sub(r" - Expected a <class 'NoneType'>", "", reason) or _one_line(text)
    return reason if reason.startswith(start) else start + reason


def _not_one_of(given: str, choices: list[str]) -> str:
    """What is wrong with a value that is none of a Literal's, nor of a union of some."""
    valid = list(dict.fromkeys(c.strip().strip("'") for literal in choices for c in literal.split(",")))
    return f"'{given}' is not one of {', '.join(valid)}{nearest(given, valid)}"


def _bases(text: str) -> list[str]:
    """Paths of the classes of which a value had to be a subclass; a class X is also listed as XFactory."""
    found = re.findall(r"<class '([\w.]+)'>, <class 'NoneType'>", text)
    return found + re.findall(r"list\[([\w.]+)Factory\]", text)


def _article(types: list[str]) -> str:
    words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
    words["list"] = "a list, such as [A, B]"
    return " or ".join(dict.fromkeys(words.get(t, t) for t in types))


def _not_a_class(text: str, key: str) -> str:
    bases = _bases(text)
    value = re.findall(r"Given value: (.*)", text)[-1]
    inside = re.search(r"class_path'?[:=] ?'([^']+)'", value)
    given = inside[1] if inside else value.strip()
    known = _subclasses(bases[-1]) if bases else {}
    kind = bases[-1].rsplit(".", 1)[-1] if bases else "class"
    names = ", ".join(sorted(known))
    article = "an" if kind[0] in "AEIOU" else "a"
    if "is abstract" in text:
        return f"{key}: {kind} is abstract; choose one of {names}"
    return f"{key}: '{given}' is not {article} {kind}{nearest(given.rsplit('.', 1)[-1], known)} (known: {names})"


def _unknown_option(option: str, parser: Any) -> str:
    name = option.lstrip("-").split("=")[0]
    prefix = "--" if option.startswith("-") else ""
    options = [a.dest for a in parser._actions if a.dest not in ("help", "==SUPPRESS==")]
    return f"unknown option {prefix}{name}{nearest(name, options)}"


def _unknown_key(where: str, name: str, valid: Iterable[str]) -> str:
    return f"{where}: unknown key '{name}'{nearest(name, valid) or '; valid are ' + ', '.join(sorted(valid))}"


def _missing_file(path: Path) -> str:
    hint = nearest(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else ""
    return f"--config: there is no file {path}{hint}"


def _options_below(parser: Any, group: str) -> list[str]:
    start = f"{group}."
    return [a.dest.removeprefix(start) for a in parser._actions if a.dest.startswith(start)]


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip()).strip("- ")


def _subclasses(base: str) -> dict[str, type]:
    """All concrete subclasses of a class known by its path, by name."""
    module, _, name = base.rpartition(".")
    try:
        root = getattr(__import__(module, fromlist=[name]), name)
    except (ImportError, AttributeError, ValueError):
        return {}
    found: dict[str, type] = {}
    queue = [root]
    while queue:
        cls = queue.pop()
        queue += cls.__subclasses__()
        if not inspect.isabstract(cls):
            found[cls.__name__] = cls
    return found
