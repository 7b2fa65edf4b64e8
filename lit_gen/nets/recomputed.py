"""Activations that are computed again in the backward pass instead of being stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def recomputed(function: Callable[..., Tensor], *inputs: Any, draws: bool) -> Tensor:
    """Calls a function of tensors, of which only the inputs are stored for the backward pass.

    The backward pass calls it again, under the same autocast, so that gradients are those of a stored pass, to the bit.

    Args:
        function: A deterministic function, apart from random numbers of torch's global generators.
        inputs: Its arguments.
        draws: Whether it draws random numbers, as dropout does; the generators' states are then stored too, and the
            second call draws the same numbers.

    References:
        Chen, Xu, Zhang, Guestrin: Training Deep Nets with Sublinear Memory Cost, 2016, arXiv:1604.06174.
    """
    if not torch.is_grad_enabled():
        return function(*inputs)
    # The reentrant variant does not support autograd.grad, nor parameters that DDP waits for.
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=draws)
