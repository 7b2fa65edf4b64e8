"""Random numbers that depend on the example, not on the batch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_MASK = (1 << 32) - 1


def mix(*words: int) -> int:
    """Mixes integers into a 32-bit seed that depends on each of them and on their order (SplitMix64's finalizer).

    Similar inputs, such as ``(seed, step)`` and ``(seed, step + 1)``, give unrelated seeds.
    CPU generators of torch use only 32 bits of their seed.

    References:
        Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014.

    >>> mix(7, 0) != mix(7, 1) != mix(0, 7)
    True
    """
    state = 0
    for word in words:
        state = (state + (word & (1 << 64) - 1) + 0x9E3779B97F4A7C15) & (1 << 64) - 1
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & (1 << 64) - 1
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & (1 << 64) - 1
        state ^= state >> 31
    return (state ^ (state >> 32)) & _MASK


class Noise:
    """Independent random number streams for B examples.

    Row b of every draw depends only on ``(seed, indices[b])`` and on the row's previous draws: not on the
    batch, the number of processes, the device, or torch's global generators, which are neither read nor
    changed. Numbers are drawn on the CPU (starting an example's stream takes 7 microseconds) and then moved to
    the device, so that they are the same on every machine.

    Args:
        seed: Seed of the streams; different seeds give unrelated numbers.
        indices: Identities of the examples: positions in a split, or sample numbers.
        device: Device of the returned tensors.

    >>> whole = Noise(0, range(4)).normal(3)
    >>> part = Noise(0, [2, 3]).normal(3)
    >>> bool((whole[2:] == part).all())
    True
    """

    def __init__(
        self, seed: int, indices: Iterable[int] | Tensor, device: torch.device | str = "cpu"
    ) -> None:
        self.device = torch.device(device)
        start = mix(seed)
        rows = indices.tolist() if isinstance(indices, Tensor) else list(indices)
        # An odd multiplier makes index -> seed injective: no two examples share a stream.
        self._generators = [
            torch.Generator().manual_seed((start + int(index) * 0x9E3779B1) & _MASK) for index in rows
        ]

    def __len__(self) -> int:
        return len(self._generators)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal draws, float32 ``[B, *shape]``."""
        out = torch.empty(len(self), *shape)
        for row, generator in zip(out, self._generators, strict=True):
            torch.randn(shape, generator=generator, out=row)
        return out.to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """Draws from the uniform distribution on [0, 1), float32 ``[B, *shape]``."""
        out = torch.empty(len(self), *shape)
        for row, generator in zip(out, self._generators, strict=True):
            torch.rand(shape, generator=generator, out=row)
        return out.to(self.device)
