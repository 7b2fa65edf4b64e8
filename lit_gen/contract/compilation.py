"""Forward passes compiled by ``torch.compile``, and where they must not be used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Call = Callable[..., Any]


def compiled_call(module: nn.Module) -> Call | None:
    """The compiled function that a call of the module runs; None if it runs the module's own ``forward``."""
    return module._compiled_call_impl


def set_compiled_call(module: nn.Module, call: Call | None) -> None:
    """Chooses what a call of the module runs.

    ``nn.Module.compile`` stores the function in this attribute, and has no method that removes it.

    Args:
        module: The module.
        call: A compiled function; None for the module's own ``forward``.
    """
    module._compiled_call_impl = call


@contextlib.contextmanager
def uncompiled(module: nn.Module) -> Iterator[None]:
    """Runs a module's own ``forward`` inside the context, whether or not it is compiled.

    For losses that contain a gradient: the backward pass of a compiled graph cannot be differentiated again, nor that
    of a fused attention, which is computed by its plain products here.
    """
    call = compiled_call(module)
    set_compiled_call(module, None)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        set_compiled_call(module, call)
