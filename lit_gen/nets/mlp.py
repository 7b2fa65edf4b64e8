"""Multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from lit_gen.errors import UserError

Activation = Literal["relu", "leaky_relu", "silu", "gelu", "tanh"]


def activation_module(name: Activation) -> nn.Module:
    """Module of the named nonlinearity; ``leaky_relu`` has DCGAN's slope of 0.2."""
    modules: dict[str, nn.Module] = {
        "relu": nn.ReLU(),
        "leaky_relu": nn.LeakyReLU(0.2),
        "silu": nn.SiLU(),
        "gelu": nn.GELU(),
        "tanh": nn.Tanh(),
    }
    return modules[name]


def mlp(sizes: Sequence[int], activation: Activation = "relu", dropout: float = 0.0) -> nn.Sequential:
    """Linear layers of the given widths with a nonlinearity between them, but not after the last.

    Raises:
        UserError: If a width is below 1, or the dropout rate not in [0, 1).

    >>> [type(m).__name__ for m in mlp([4, 8, 2])]
    ['Linear', 'ReLU', 'Linear']
    """
    if min(sizes) < 1 or not 0 <= dropout < 1:
        hidden = list(sizes[1:-1])
        raise UserError(f"nets: hidden_sizes={hidden} must be at least 1 each, and dropout={dropout} in [0, 1)")
    layers: list[nn.Module] = []
    for width, following in pairwise(sizes):
        layers += [nn.Linear(width, following), activation_module(activation)]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers[: -2 if dropout else -1])
