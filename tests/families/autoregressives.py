"""Autoregressive models small enough for numbers known otherwise."""

from __future__ import annotations

import functools
from collections.abc import Callable

from lit_gen.families.autoregressive import MADE, Autoregressive

Build = Callable[..., Autoregressive]

# Each takes a shape and levels; those of the second also num_classes.
ALL: dict[str, Build] = {
    "MADE": functools.partial(MADE, hidden_sizes=(60, 51), activation="tanh"),
    "FVSBN": functools.partial(MADE, hidden_sizes=()),
}
WITH_CLASSES: dict[str, Build] = {}
