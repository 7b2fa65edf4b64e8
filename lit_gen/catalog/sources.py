"""Classes as their source text describes them: docstrings, bases and parameters, without importing anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Folders with classes that a user chooses, or whose arguments a user gives.
_FOLDERS = ("families", "nets", "data", "metrics", "optim", "contract", "scoring", "callbacks", "runs")
_LINKED = ("self", "shape", "num_levels")  # from the data, not from the user
_SECTION = re.compile(r"\n *(Args|Attributes|Raises|Returns|References|Example|Note):\n")


def first_sentence(text: str) -> str:
    """The first sentence of a text, on one line, without its full stop and without marks of cross-references.

    >>> first_sentence("After Larsen et al. 2016: see :func:`crop`. More.")
    'After Larsen et al. 2016: see crop'
    """
    plain = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", " ".join(text.split()))
    return re.split(r"(?<=[a-z0-9)\]])(?<!\bal)(?<!\be\.g)\. |\.$", plain)[0]


@dataclass(frozen=True)
class Parameter:
    """One argument of a class.

    Attributes:
        name: Its name.
        type: Its type, as written; empty if there is none.
        default: Its default, as written; None if it has to be given.
        text: What the docstring says of it.
    """

    name: str
    type: str
    default: str | None
    text: str


@dataclass(frozen=True)
class Source:
    """A class in a file.

    Attributes:
        file: The file.
        module: Import path of its module.
        node: The class's syntax tree.
    """

    file: Path
    module: str
    node: ast.ClassDef

    @property
    def name(self) -> str:
        """Name of the class."""
        return self.node.name

    @cached_property
    def doc(self) -> str:
        """The docstring, without indentation."""
        return ast.get_docstring(self.node) or ""

    @property
    def summary(self) -> str:
        """The docstring's first sentence, on one line."""
        return first_sentence(self.doc.split("\n\n")[0])

    @property
    def paragraphs(self) -> str:
        """The docstring up to its first section."""
        return _SECTION.split(f"\n{self.doc}\n")[0].strip()

    def section(self, name: str) -> str:
        """Text of a section of the docstring, such as ``References``; empty if there is none."""
        parts = _SECTION.split(f"\n{self.doc}\n")
        return next((text for head, text in zip(parts[1::2], parts[2::2], strict=True) if head == name), "")

    @property
    def bases(self) -> list[str]:
        """Names of the base classes."""
        return [ast.unparse(base).rsplit(".", 1)[-1].partition("[")[0] for base in self.node.bases]

    @cached_property
    def is_abstract(self) -> bool:
        """Whether it is a base for others: abstract, a protocol, or private."""
        named_so = self.name.startswith("_") or not {"ABC", "Protocol"}.isdisjoint(self.bases)
        return named_so or bool(self.missing_methods)

    @cached_property
    def known_bases(self) -> list[Source]:
        """The bases that are classes of the package; one of the same name is another package's, as of ``AdamW``."""
        return [found for base in self.bases if base != self.name and (found := find_class(base)) is not None]

    @cached_property
    def missing_methods(self) -> frozenset[str]:
        """Names of abstract methods that neither the class nor one of its bases implements."""
        own = self._methods(abstract=True).union(*(base.missing_methods for base in self.known_bases))
        return frozenset(own - self.implemented)

    @cached_property
    def implemented(self) -> frozenset[str]:
        """Names of the methods that the class or one of its bases implements."""
        return frozenset(self._methods(abstract=False).union(*(base.implemented for base in self.known_bases)))

    def _methods(self, abstract: bool) -> set[str]:
        methods = [item for item in self.node.body if isinstance(item, ast.FunctionDef)]
        marked = {m.name for m in methods if any("abstractmethod" in ast.unparse(d) for d in m.decorator_list)}
        return marked if abstract else {method.name for method in methods} - marked

    def parameters(self) -> list[Parameter]:
        """The arguments that a user gives: of the constructor, or the fields of a dataclass, or those of a base."""
        texts = self._texts()
        for item in self.node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return [p for p in _arguments(item, texts) if p.name not in _LINKED]
        if any("dataclass" in ast.unparse(decorator) for decorator in self.node.decorator_list):
            fields = [item for item in self.node.body if isinstance(item, ast.AnnAssign)]
            return [_field(field, texts) for field in fields if isinstance(field.target, ast.Name)]
        for base in self.known_bases:
            if inherited := base.parameters():
                return [Parameter(p.name, p.type, p.default, texts.get(p.name, p.text)) for p in inherited]
        return []

    def _texts(self) -> dict[str, str]:
        """What the docstring's section of arguments or attributes says, by name."""
        found: dict[str, str] = {}
        text = self.section("Args") or self.section("Attributes")
        for part in re.split(r"\n(?= {0,4}\w+:)", f"\n{text}"):
            name, colon, rest = part.strip().partition(":")
            if colon and name.isidentifier():
                found[name] = " ".join(rest.split())
        return found


def _arguments(function: ast.FunctionDef, texts: dict[str, str]) -> Iterator[Parameter]:
    plain, only = function.args.args, function.args.kwonlyargs
    missing: list[ast.expr | None] = [None] * (len(plain) - len(function.args.defaults))
    defaults = [*missing, *function.args.defaults, *function.args.kw_defaults]
    for argument, default in zip([*plain, *only], defaults, strict=True):
        kind = ast.unparse(argument.annotation) if argument.annotation else ""
        shown = ast.unparse(default) if default is not None else None
        yield Parameter(argument.arg, kind, shown, texts.get(argument.arg, ""))


def _field(field: ast.AnnAssign, texts: dict[str, str]) -> Parameter:
    name = ast.unparse(field.target)
    default = ast.unparse(field.value) if field.value is not None else None
    return Parameter(name, ast.unparse(field.annotation), default, texts.get(name, ""))


def classes_below(folder: Path) -> list[Source]:
    """All classes in the files of a folder of the package, in the order of their files."""
    return [source for file in sorted(folder.rglob("*.py")) for source in _classes_of(file)]


@cache
def _classes_of(file: Path) -> tuple[Source, ...]:
    if "__" in file.name:
        return ()
    module = ".".join(("lit_gen", *file.relative_to(PACKAGE).with_suffix("").parts))
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return tuple(Source(file, module, node) for node in tree.body if isinstance(node, ast.ClassDef))


@cache
def find_class(name: str) -> Source | None:
    """The class of the package with a name; None if there is none. Only files that contain the name are parsed."""
    head = re.compile(rf"^class {re.escape(name)}\b", re.MULTILINE)
    for folder in _FOLDERS:
        for file in sorted((PACKAGE / folder).rglob("*.py")):
            if head.search(file.read_text(encoding="utf-8")):
                return next((found for found in _classes_of(file) if found.name == name), None)
    return None


@cache
def ancestors(name: str) -> tuple[str, ...]:
    """Names of all bases of a class of the package, from the nearest on."""
    source = find_class(name)
    if source is None:
        return ()
    found = list(source.bases)
    for base in source.known_bases:
        found += [each for each in ancestors(base.name) if each not in found]
    return tuple(found)


def concrete(folder: str, base: str) -> list[Source]:
    """Classes of a folder that derive from a base and can be chosen, in the order of their files."""
    return [s for s in classes_below(PACKAGE / folder) if not s.is_abstract and base in ancestors(s.name)]
