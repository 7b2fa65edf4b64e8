"""Random numbers that depend on the example, not on the batch, made by integer arithmetic on the example's device."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

_log = logging.getLogger(__name__)

Draw = Callable[[Tensor, int, int, bool], Tensor]

GENERATOR = "splitmix64-v1"
"""Name of the generator in protocols: scores of samples by different generators differ by chance, as by seed."""

_WEYL = 0x9E3779B97F4A7C15  # the odd number nearest to 2^64 over the golden ratio
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27, 31)
_BITS = (1 << 64) - 1
_CPU_BLOCK = 1 << 15  # words at a time, so that a CPU's caches hold them
_GPU_BLOCK = 1 << 24  # so that temporary tensors stay below half a gigabyte


def mix(*words: int) -> int:
    """Mixes integers into a 32-bit seed that depends on each of them and on their order (SplitMix64's finalizer).

    Similar inputs, such as ``(seed, step)`` and ``(seed, step + 1)``, give unrelated seeds.
    CPU generators of torch use only 32 bits of their seed.

    References:
        Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014.

    >>> mix(7, 0) != mix(7, 1) != mix(0, 7)
    True
    """
    state = _mixed(*words)
    return (state ^ (state >> 32)) & 0xFFFFFFFF


class Noise:
    """Independent random number streams for B examples.

    Row b of every draw depends only on ``(seed, indices[b])`` and on the row's previous draws: not on the batch, the
    number of processes, the device, or torch's global generators, which are neither read nor changed.

    The generator is counter-based: word c of an example is SplitMix64's finalizer of ``key + c * 0x9E3779B97F4A7C15``
    modulo 2^64, and the key is the finalizer of the mixed seed plus the example's index times the same number. That is
    a few operations on int64 tensors, without a loop over examples and without waiting for the device. Words, and
    draws of :meth:`uniform`, are the same integers and fractions on every device; draws of :meth:`normal` agree to the
    rounding of log, sin and cos. On a GPU with Triton a draw is one kernel (``lit_gen.noise.triton_kernel``).

    Args:
        seed: Seed of the streams; different seeds give unrelated numbers.
        indices: Identities of the examples: positions in a split, or sample numbers. 64-bit integers.
        device: Device of the returned tensors, where the numbers are made.

    References:
        Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014.
        Box, Muller: A Note on the Generation of Random Normal Deviates, 1958.

    >>> whole = Noise(0, range(4)).normal(3)
    >>> part = Noise(0, [2, 3]).normal(3)
    >>> bool((whole[2:] == part).all())
    True
    """

    def __init__(self, seed: int, indices: Iterable[int] | Tensor, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        if not isinstance(indices, Tensor):
            indices = torch.tensor(list(indices), dtype=torch.int64)
        keys = indices.to(self.device, torch.int64, non_blocking=True, copy=True)
        self._keys = _finalize(keys.mul_(_signed(_WEYL)).add_(_signed(_mixed(seed))))
        self._drawn = 0  # words of each row

    def __len__(self) -> int:
        return len(self._keys)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal draws, float32 ``[B, *shape]``.

        Two numbers come from the halves of one word by the Box-Muller transform: the logarithm of 32 bits, so that
        values up to 6.76 occur, and an angle of 32 bits.
        """
        number = math.prod(shape)
        half = (number + 1) // 2
        if (kernel := _kernel(self.device)) is not None:
            return self._drawn_by(kernel, half, number, shape, normal=True)
        out = torch.empty(len(self), 2 * half, device=self.device)
        for rows, words in self._blocks(half):
            angle = (words >> 32).float().mul_(math.pi * 2.0**-31)
            radius = words.bitwise_and_(0xFFFFFFFF).float().add_(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
            first, second = out[rows, :half], out[rows, half:]
            torch.cos(angle, out=first).mul_(radius)
            torch.sin(angle, out=second).mul_(radius)
        return out[:, :number].reshape(len(self), *shape).contiguous()

    def uniform(self, *shape: int) -> Tensor:
        """Draws from the uniform distribution on [0, 1), float32 ``[B, *shape]``: multiples of 2^-24."""
        number = math.prod(shape)
        half = (number + 1) // 2
        if (kernel := _kernel(self.device)) is not None:
            return self._drawn_by(kernel, half, number, shape, normal=False)
        out = torch.empty(len(self), 2 * half, device=self.device)
        for rows, words in self._blocks(half):
            out[rows, :half] = (words >> 40).bitwise_and_(0xFFFFFF)
            out[rows, half:] = words.bitwise_and_(0xFFFFFF)
        return out[:, :number].mul_(2.0**-24).reshape(len(self), *shape).contiguous()

    def words(self, number: int) -> Tensor:
        """The next words of each row, int64 ``[B, number]``: 64 uniform bits each."""
        out = torch.empty(len(self), number, dtype=torch.int64, device=self.device)
        for rows, words in self._blocks(number):
            out[rows] = words
        return out

    def _drawn_by(self, kernel: Draw, half: int, number: int, shape: tuple[int, ...], normal: bool) -> Tensor:
        out = kernel(self._keys, self._drawn, half, normal)
        self._drawn += half
        return out[:, :number].reshape(len(self), *shape).contiguous()

    def _blocks(self, number: int) -> Iterator[tuple[slice, Tensor]]:
        """The next words of each row, for some rows at a time."""
        first = self._drawn + 1
        self._drawn += number
        steps = torch.arange(first, first + number, device=self.device).mul_(_signed(_WEYL))
        size = max(1, (_CPU_BLOCK if self.device.type == "cpu" else _GPU_BLOCK) // max(1, number))
        for begin in range(0, len(self), size):
            rows = slice(begin, begin + size)
            yield rows, _finalize(self._keys[rows, None] + steps)


@functools.cache
def _kernel(device: torch.device) -> Draw | None:
    """The kernel for a GPU; None for a CPU, and where Triton is missing, cannot compile or draws other numbers."""
    if device.type != "cuda":
        return None
    try:
        from lit_gen.noise.triton_kernel import draw

        if _draws_the_same(draw, device):
            return draw
        why = "its numbers differ"
    except Exception as error:  # no Triton, no C compiler, an unknown card
        why = type(error).__name__
    _log.warning("noise is made by tensor operations, which take longer: Triton cannot be used here (%s)", why)
    return None


def _draws_the_same(draw: Draw, device: torch.device) -> bool:
    """Whether a kernel's numbers are those of tensor operations on a CPU: normal ones up to rounding."""
    keys, half = Noise(1, [-1, 0, 2**40])._keys, 700
    for normal in (False, True):
        expected = Noise(1, [-1, 0, 2**40])
        numbers = expected.normal(2 * half) if normal else expected.uniform(2 * half)
        found = draw(keys.to(device), 0, half, normal).cpu()
        if not torch.allclose(found, numbers, rtol=0.0, atol=1e-5 if normal else 0.0):
            return False
    return True


def _finalize(words: Tensor) -> Tensor:
    """SplitMix64's finalizer in place; int64 of any shape, read as unsigned integers."""
    shifted = torch.empty_like(words)
    for shift, factor in zip(_SHIFTS, (*_FACTORS, None), strict=True):
        # int64 shifts copy the sign, which the mask removes.
        torch.bitwise_right_shift(words, shift, out=shifted).bitwise_and_(_BITS >> shift)
        words.bitwise_xor_(shifted)
        if factor is not None:
            words.mul_(_signed(factor))
    return words


def _mixed(*words: int) -> int:
    """Mixes integers into 64 bits that depend on each of them and on their order."""
    state = 0
    for word in words:
        state = (state + (word & _BITS) + _WEYL) & _BITS
        for shift, factor in zip(_SHIFTS, _FACTORS, strict=False):
            state = ((state ^ (state >> shift)) * factor) & _BITS
        state ^= state >> _SHIFTS[-1]
    return state


def _signed(word: int) -> int:
    """The int64 with the bits of an unsigned 64-bit integer."""
    return word - (1 << 64) if word >> 63 else word
