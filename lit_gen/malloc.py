"""What glibc does with freed memory; other C libraries are left as they are."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # parameters of mallopt


def reuse_freed_memory() -> None:
    """Makes glibc reuse freed memory for the next tensor.

    By default it returns each large tensor to the kernel, and the pages of the next one are faulted in again, which
    takes up to half of a convolutional network's step on a CPU.
    """
    if mallopt := _function("mallopt"):
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 2**20)


def return_freed_memory() -> None:
    """Returns freed memory to the kernel, after work that takes far more than what follows.

    Otherwise the process keeps it, and the smaller tensors that follow lie scattered over it, which cost steps of
    a score model 2% of their time.
    """
    if trim := _function("malloc_trim"):
        trim(0)


def _function(name: str) -> Callable[..., int] | None:
    """The C library's function, None where there is none of this name."""
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # another library, none, or Windows, which takes no None
        return None
    return found
