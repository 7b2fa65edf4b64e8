"""How property-based tests run: with the same examples on every machine, a few by default and many under -m slow.

A property is an inner function of its test, which both lengths share:

    @lengths()
    def test_name(length: settings) -> None:
        @length
        @given(...)
        def holds(...) -> None: ...

        holds()
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st


def lengths(few: int = 25, many: int = 1000) -> pytest.MarkDecorator:
    """Parametrizes a test by settings of a few examples, and of many under -m slow."""
    # No database: it would be a folder in the checkout, and a failure would depend on what had failed before. A failure
    # is not explained, which takes minutes.
    quick = settings(
        max_examples=few, derandomize=True, deadline=None, database=None, suppress_health_check=[*HealthCheck],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    long = pytest.param(settings(quick, max_examples=many), id="long", marks=pytest.mark.slow)
    return pytest.mark.parametrize("length", [pytest.param(quick, id="quick"), long])


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
"""What a file can hold: any characters but halves of one."""

HUGE = st.sampled_from([0, -1, 2**63, 10**400, -(10**400)])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 100), HUGE, st.floats(), st.text(max_size=12))
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
"""Whatever `json.loads` can return: NaN, infinities, huge integers and halves of characters too."""


def places(tree: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each value inside a tree of objects and lists, in the order of the file."""
    items = list(tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ())
    return [path for key, value in items for path in ((*above, key), *places(value, (*above, key)))]


def inside(tree: Any, path: tuple[Any, ...]) -> Any:
    """The object or list that holds the value at a path."""
    for key in path[:-1]:
        tree = tree[key]
    return tree
