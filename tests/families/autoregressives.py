"""Autoregressive models small enough for numbers known otherwise."""

from __future__ import annotations

import functools
from collections.abc import Callable

from lit_gen.families.autoregressive import (
    MADE,
    Autoregressive,
    GatedPixelCNN,
    PixelCNN,
    PixelCNNpp,
    Transformer,
    WaveNet,
)

Build = Callable[..., Autoregressive]

# Each takes a shape and levels; those of the second also num_classes.
WITH_CLASSES: dict[str, Build] = {
    "GatedPixelCNN": functools.partial(GatedPixelCNN, channels=8, first_kernel_size=5),
    "GatedPixelCNN, level features": functools.partial(GatedPixelCNN, channels=8, level_features=3),
    "PixelCNNpp": functools.partial(PixelCNNpp, num_filters=8, num_components=3),
    "Transformer": functools.partial(Transformer, positions="rotary"),
    "Transformer, learned": functools.partial(Transformer, positions="learned"),
    "WaveNet": WaveNet,
}
ALL: dict[str, Build] = {
    "MADE": functools.partial(MADE, hidden_sizes=(60, 51), activation="tanh"),
    "FVSBN": functools.partial(MADE, hidden_sizes=()),
    "PixelCNN": functools.partial(PixelCNN, channels=8, kernel_size=9),
    **WITH_CLASSES,
}
