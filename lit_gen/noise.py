"""Random numbers that belong to an example, not to a batch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_MASK = (1 << 32) - 1


def mix(*words: int) -> int:
    """A 32-bit seed that depends on every word and on their order (SplitMix64's finalizer, folded).

    Seeds that lie close together, as ``(seed, step)`` and ``(seed, step + 1)`` do, come out far apart.
    A CPU generator of torch keeps 32 bits of its seed, so that is what is returned.

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
    """A stream of random numbers for each of B examples.

    Row b of every draw depends on ``(seed, indices[b])`` and on what was drawn before from that row, and on
    nothing else: not on the batch it stands in, the number of processes, the device, or torch's global
    generators, which are neither read nor moved. Numbers are made on the CPU (7 microseconds to start an
    example's stream) and then sent to the device, so that they are the same on every machine.

    Args:
        seed: The stream's name; two seeds give unrelated numbers.
        indices: The examples' identities: positions in a split, or numbers of samples.
        device: Where the draws are wanted.

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
        # An odd multiplier makes index -> seed one to one: no two examples ever share a stream.
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
