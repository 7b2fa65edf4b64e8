"""Sphinx's configuration: ``python -m sphinx -W -b html docs build/docs`` builds the site."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import NoUri
from sphinx.util.nodes import make_refnode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lit_gen import __version__

project, author = "lit_gen", "the authors of lit_gen"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["results/*", "examples/*"]  # scripts, records and packages, to which pages link
html_theme = "furo"
html_title = "lit_gen"
html_show_copyright = html_show_sphinx = html_copy_source = False
html_theme_options = {"light_css_variables": {"font-stack": "system-ui, sans-serif"}}

myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3  # headings can be linked as on GitHub: page.md#a-heading
myst_dmath_double_inline = True

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True

# Every reference in a page or a docstring has to exist. Types in signatures are shown as they are written, and link
# where their class has an entry here.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(abc|argparse|builtins|collections|contextlib|functools|pathlib|typing|typing_extensions)\..*"),
    (r"py:.*", r"(datasets|jsonargparse|lightning|numpy|torch|torchmetrics|wandb)\..*"),
    (r"py:.*", r"lit_gen\..*\.(_\w+|[A-Z])"),  # private bases and type variables
    (r"py:exc", r"[A-Z]\w*(Error|Exception|Exit)"),  # Python's own
]


HERE = Path(__file__).parent
# Markdown files beside the code are pages too, whose file here only names them.
_NAMED = re.compile(r"<!-- page: (\S+) -->")
PAGES_ELSEWHERE = {
    (HERE / named[1]).resolve(): page.name for page in HERE.glob("*.md") if (named := _NAMED.match(page.read_text()))
}


def _link_pages(app: Sphinx, document: str, source: list[str]) -> None:
    """Takes over the pages from elsewhere, and makes links to them links within the site."""
    named = _NAMED.match(source[0])
    path = (HERE / named[1]).resolve() if named else HERE / f"{document}.md"
    text = path.read_text(encoding="utf-8") if named else source[0]

    def link(match: re.Match[str]) -> str:
        target = (path.parent / match[1]).resolve()
        return f"]({PAGES_ELSEWHERE.get(target) or os.path.relpath(target, (HERE / document).parent)}"

    source[0] = re.sub(r"\]\((?!https?:|#)([^)#\s]+)", link, text)


def _modules(package: str) -> list[str]:
    """The modules of a package in the order of their names, subpackages included; a module alone is its own."""
    module = importlib.import_module(package)
    parts = pkgutil.walk_packages(getattr(module, "__path__", []), f"{package}.")
    return [package, *(part.name for part in parts if not part.name.endswith("__main__"))]


def _list_modules(app: Sphinx, document: str, source: list[str]) -> None:
    """Replaces ``<!-- modules: PACKAGE -->`` in a page by entries for all its modules: a new file needs no list.

    A package has its docstring alone, since what it exports has an entry in its own module. With ``-t pages`` there are
    no entries: the pages alone are checked in a few seconds.
    """

    def entry(name: str) -> str:
        is_package = hasattr(importlib.import_module(name), "__path__")
        option = "   :no-members:\n" if is_package else ""
        return f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n{option}```\n"

    def entries(match: re.Match[str]) -> str:
        return "" if app.tags.has("pages") else "\n".join(map(entry, _modules(match[1])))

    if document.startswith("api/"):
        source[0] = re.sub(r"<!-- modules: ([\w.]+) -->", entries, source[0])


def _connect_docstrings(app: Sphinx) -> None:
    """Keeps Napoleon from reading "Number of samples: ..." of an attribute as its type."""
    before: dict[str, list[str]] = {}

    def keep(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
        if what in ("attribute", "property", "data"):
            before[name] = list(lines)

    def restore(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
        if name in before:
            lines[:] = before.pop(name)

    app.connect("autodoc-process-docstring", keep, priority=100)
    app.connect("autodoc-process-docstring", restore, priority=900)


@functools.cache
def _by_last_name(app: Sphinx) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, thing in app.env.domains.python_domain.objects.items():
        if not thing.aliased and thing.objtype not in ("module", "attribute", "property"):
            found.setdefault(name.rsplit(".", 1)[-1], []).append(name)
    return found


def _resolved(app: Sphinx, env: Any, node: Any, content: nodes.TextElement) -> Any:
    """Resolves a name without its module, where just one documented object bears it; types may be unknown."""
    if node.get("refdomain") != "py":
        return None
    found = _by_last_name(app).get(node["reftarget"].rsplit(".", 1)[-1], [])
    if len(found) == 1:
        thing = env.domains.python_domain.objects[found[0]]
        return make_refnode(app.builder, node["refdoc"], thing.docname, thing.node_id, content, found[0])
    if not isinstance(content, nodes.literal) and node.get("reftype") != "exc":
        raise NoUri  # of a signature
    return None


def setup(app: Sphinx) -> None:
    """Connects the functions above."""
    app.connect("source-read", _link_pages)
    app.connect("source-read", _list_modules)
    _connect_docstrings(app)
    app.connect("missing-reference", _resolved)
