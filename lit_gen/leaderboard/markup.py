"""HTML that cannot be broken out of: every text is escaped unless it is `Markup` already."""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = frozenset({"img", "meta", "br"})


class Markup(str):
    """Text that is HTML, made by this module (or a constant of this package)."""


def escape(text: str) -> Markup:
    """A text as HTML: `&`, `<`, `>` and both quotes are escaped, Markup is left as it is.

    >>> escape('<b>"&')
    '&lt;b&gt;&quot;&amp;'
    """
    return text if isinstance(text, Markup) else Markup(html.escape(text))


def element(tag: str, *children: str, **attributes: str | int | float | None) -> Markup:
    """An element with its children.

    Args:
        tag: Name of the element.
        children: Texts, escaped, or Markup.
        attributes: By name, with `_` for `-` and a trailing `_` dropped (`class_`); None leaves one out.

    >>> element("td", "a < b", class_="number", data_sort=3)
    '<td class="number" data-sort="3">a &lt; b</td>'
    """
    pairs = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    # An attribute is quoted whole even if its value is Markup, whose quotes would end it.
    given = "".join(f' {name}="{html.escape(str(value))}"' for name, value in pairs if value is not None)
    if tag in _VOID:
        return Markup(f"<{tag}{given}>")
    return Markup(f"<{tag}{given}>{join(children)}</{tag}>")


def join(parts: Iterable[str]) -> Markup:
    """Parts one after another, each escaped unless it is Markup."""
    return Markup("".join(escape(part) for part in parts))
