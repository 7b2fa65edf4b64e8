"""Counts floating-point operations by the operators that PyTorch calls, without any change to how they run."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from lit_gen.contract import GenerativeModule

MOST_EVALUATIONS = 1000
"""Function evaluations of a sample up to which they are counted: each operator takes some microseconds more."""

_aten = torch.ops.aten


class FlopCounter(TorchDispatchMode):
    """Context that counts the operations of matrix products, convolutions and attention, also in backward passes.

    The formulas are those of `torch.utils.flop_counter`, where a multiplication and an addition are two operations.
    Its own context decomposes operators, so that sums may be rounded differently; this one calls each operator as it
    is, and a counted training step leaves the same weights to the last bit. Elementwise operations are not counted.

    Attributes:
        flops: Number of operations so far.
        complete: Whether all of these operators could be counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.complete = 0, True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls the operator and adds its operations."""
        out = func(*args, **(kwargs or {}))
        try:
            self.flops += _flops(func, args, kwargs or {}, out)
        except Exception:  # a formula that does not know a new argument must not end a training
            self.complete = False
        return out


def _flops(func: Any, args: Any, kwargs: Any, out: Any) -> int:
    packet = func.overloadpacket
    # PyTorch has no formulas for attention on CPUs.
    if packet is _aten._scaled_dot_product_flash_attention_for_cpu:
        return int(sdpa_flop_count(*(tensor.shape for tensor in args[:3])))
    if packet is _aten._scaled_dot_product_flash_attention_for_cpu_backward:
        return int(sdpa_backward_flop_count(*(tensor.shape for tensor in args[:4])))
    formula = flop_registry.get(packet)
    return 0 if formula is None else int(formula(*args, **kwargs, out_val=out))


def flops_per_sample(model: GenerativeModule, evaluations: int | None) -> int | None:
    """Operations that one sample takes; None where it is too expensive to count, or cannot be counted.

    Neither random numbers nor the model's own counters are changed.

    Args:
        model: The model, with the weights and the sampling options of the scores.
        evaluations: Its function evaluations for one sample; None if it is not known.
    """
    if evaluations is None or evaluations > MOST_EVALUATIONS or math.prod(model.shape) > 1 << 20:
        return None
    counts = [(module, {name: v for name, v in vars(module).items() if type(v) is int}) for module in model.modules()]
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), FlopCounter() as counter:
            model.sample(1)
        return counter.flops if counter.complete else None
    except Exception:  # a cost that cannot be measured must not lose the scores
        return None
    finally:
        for module, numbers in counts:
            vars(module).update(numbers)
