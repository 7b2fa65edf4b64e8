"""The arithmetic of float32 products on GPUs, and how a protocol states it."""

from __future__ import annotations

import lightning as L
import torch

_TF32 = "tf32"


def use_tf32(allowed: bool) -> None:
    """Allows TF32, or rules it out, for float32 matrix products and convolutions on NVIDIA GPUs (Ampere and later).

    TF32 rounds the factors to 10 bits of mantissa, where float32 has 23, and adds in float32. PyTorch's own default is
    TF32 for convolutions and float32 for matrix products. Other devices compute in float32 either way.

    Args:
        allowed: Whether to allow it. Applies to the process, until the next call.

    References:
        PyTorch documentation, CUDA semantics, section "TensorFloat-32 (TF32) on Ampere (and later) devices".
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    # This setter keeps cuDNN's old and new switches equal, which PyTorch requires before either can be read.
    torch.backends.cudnn.allow_tf32 = allowed
    # The first line also lets CPUs that have TF32 use it.
    torch.backends.mkldnn.matmul.fp32_precision = "ieee"  # type: ignore[attr-defined]


def stated_precision(trainer: L.Trainer, in_float32: bool = False) -> str | None:
    """Arithmetic of the Trainer's model for a protocol, such as ``32-true``, ``bf16-mixed`` or ``32-true+tf32``.

    Args:
        trainer: The Trainer.
        in_float32: Whether the number is computed in float32 in every precision of the Trainer.

    Returns:
        The precision; None for a number that does not depend on it. TF32 is stated where it is in effect, on a GPU,
        also for such a number.
    """
    precision = "32-true" if in_float32 else str(trainer.precision)
    if trainer.strategy.root_device.type == "cuda" and _tf32_is_allowed():
        return f"{precision}+{_TF32}"
    return None if in_float32 else precision


def _tf32_is_allowed() -> bool:
    of_convolutions: str = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    return _TF32 in (torch.backends.cuda.matmul.fp32_precision, of_convolutions)
