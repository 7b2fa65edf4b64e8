"""Models without their large tensors: what a model would take is known before memory is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_LARGE_WEIGHT = 2**16  # elements of a matrix of floats, which constructors initialize but do not read
_LARGE = 2**24  # elements of other tensors, such as sorted degrees, of which constructors read the smaller ones


@dataclass(frozen=True)
class Outline:
    """What a model would take.

    Attributes:
        parameters: Number of parameters.
        parameter_bytes: Size of the parameters.
        buffer_bytes: Size of the buffers, such as masks.
    """

    parameters: int
    parameter_bytes: int
    buffer_bytes: int


def outline(build: Callable[[], nn.Module]) -> Outline:
    """Counts a model's parameters and buffers; its large tensors take no memory. Leaves torch's generator as it is.

    Args:
        build: Function that constructs the model. It may raise anything, also because it reads a large tensor.
    """
    with torch.random.fork_rng(devices=[]), _LargeOnMeta():
        model = build()
    parameters, buffers = list(model.parameters()), list(model.buffers())
    return Outline(
        sum(p.numel() for p in parameters),
        sum(p.numel() * p.element_size() for p in parameters),
        sum(b.numel() * b.element_size() for b in buffers),
    )


class _LargeOnMeta(TorchDispatchMode):
    """Puts every large result on the meta device, where tensors have a shape and no values.

    ``torch.device("meta")`` alone puts small ones there too, which constructors read, such as sorted degrees.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls an operator on shapes first, and on values if all of them are small."""
        kwargs = kwargs or {}
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        without_values = any(tensor.is_meta for tensor in given)
        try:
            shapes = func(*tree_map(_to_meta, args), **tree_map(_to_meta, kwargs | _device(kwargs)))
        except Exception:
            if without_values:
                raise
            return func(*args, **kwargs)  # an operator whose result's shape depends on values
        if without_values or any(_is_large(leaf) for leaf in tree_leaves(shapes) if isinstance(leaf, Tensor)):
            return args[0] if func._schema.is_mutable and args and isinstance(args[0], Tensor) else shapes
        return func(*args, **kwargs)


def _to_meta(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value


def _device(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"device": torch.device("meta")} if "device" in kwargs else {}


def _is_large(tensor: Tensor) -> bool:
    return tensor.numel() > (_LARGE_WEIGHT if tensor.is_floating_point() and tensor.ndim > 1 else _LARGE)
