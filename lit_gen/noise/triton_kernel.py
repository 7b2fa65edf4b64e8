"""One Triton kernel for draws of :class:`lit_gen.noise.Noise` on NVIDIA and AMD GPUs.

By tensor operations a draw is about thirty kernels, whose launches take longer than their arithmetic. Importing this
module needs Triton, which the builds of torch for these GPUs bring along.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra import libdevice

_WEYL = tl.constexpr(0x9E3779B97F4A7C15)
_FIRST_FACTOR = tl.constexpr(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = tl.constexpr(0x94D049BB133111EB)
_LARGEST_BLOCK = 1024
_OF_LIBDEVICE = tl.constexpr(not triton.knobs.runtime.interpret)  # which Triton's interpreter does not have


@triton.jit(do_not_specialize=["first", "half"])
def _draw(  # type: ignore[no-untyped-def]
    keys, out, first, half, NORMAL: tl.constexpr, BLOCK: tl.constexpr
):
    """Row ``program_id(0)`` of ``out``, ``2 * half`` numbers: two from each word, ``half`` numbers apart."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = columns < half
    word = tl.load(keys + row).to(tl.uint64, bitcast=True) + (columns.to(tl.int64) + first).to(tl.uint64) * _WEYL
    word = (word ^ (word >> 30)) * _FIRST_FACTOR
    word = (word ^ (word >> 27)) * _SECOND_FACTOR
    word = word ^ (word >> 31)
    low = (word & 0xFFFFFFFF).to(tl.uint32)
    high = (word >> 32).to(tl.uint32)
    if NORMAL:
        angle = high.to(tl.int32, bitcast=True).to(tl.float32) * 1.4629180792671596e-09  # pi / 2^31
        fraction = (low.to(tl.float32) + 0.5) * 2.3283064365386963e-10  # 2^-32
        if _OF_LIBDEVICE:  # Triton's own logarithm is an approximation
            radius = tl.sqrt_rn(libdevice.log(fraction) * -2.0)
            one, other = libdevice.cos(angle) * radius, libdevice.sin(angle) * radius
        else:
            radius = tl.sqrt_rn(tl.log(fraction) * -2.0)
            one, other = tl.cos(angle) * radius, tl.sin(angle) * radius
    else:
        one = (high >> 8).to(tl.float32) * 5.9604644775390625e-08  # 2^-24
        other = (low & 0xFFFFFF).to(tl.float32) * 5.9604644775390625e-08
    begin = out + row * 2 * half
    tl.store(begin + columns, one, mask=mask)
    tl.store(begin + half + columns, other, mask=mask)


def draw(keys: Tensor, drawn: int, half: int, normal: bool) -> Tensor:
    """The numbers of the next ``half`` words of each row.

    Args:
        keys: Keys of the rows, int64 ``[B]``.
        drawn: Number of words that were drawn from each row before.
        half: Number of words.
        normal: Whether to draw from the standard normal distribution, or from the uniform one.

    Returns:
        float32 ``[B, 2 * half]``.
    """
    out = torch.empty(len(keys), 2 * half, device=keys.device)
    if out.numel():
        block = min(_LARGEST_BLOCK, triton.next_power_of_2(half))
        grid = (len(keys), triton.cdiv(half, block))
        with torch.cuda.device_of(keys):  # Triton launches on the current device
            _draw[grid](keys, out, drawn + 1, half, NORMAL=normal, BLOCK=block)
    return out
