"""Two-dimensional data of known density, as pairs of integers."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.data.known_entropy import SampleSizes
from lit_gen.data.loader import Loader
from lit_gen.data.module import SPLITS, DiscreteDataModule, Split, SplitName
from lit_gen.data.plane import Moons, PlaneDensity


class Toy2D(DiscreteDataModule):
    """Points of a density in the plane, each coordinate rounded to one of ``num_levels`` values between -1 and 1.

    The probability of each pair of integers is the density's integral over its bin, so that the entropy is known; what
    lies outside the square goes to the outermost values. With 256 values, bins are narrow, and bits/dim are those of
    the density but for the width of the bins.

    Args:
        density: Density in the plane; :class:`Moons` if not given.
        num_levels: Number of values of a coordinate.
        splits: Numbers of examples.
        source_seed: Seed of all three samples.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order alone.

    Attributes:
        entropy_nats: Entropy of one example, in nats.
        entropy_bits_per_dim: Entropy in bits per dimension: the lower bound of every valid bits/dim.

    >>> data = Toy2D(num_levels=16)
    >>> round(float(data.log_prob(data.enumerate()).exp().sum()), 12)
    1.0
    """

    def __init__(
        self,
        density: PlaneDensity | None = None,
        num_levels: int = 256,
        splits: SampleSizes = SampleSizes(),
        source_seed: int = 0,
        batch_size: int = 128,
        loader: Loader = Loader(),
    ) -> None:
        density = density or Moons()
        super().__init__(
            name=f"toy2d_{type(density).__name__.lower()}_{num_levels}",
            shape=(2,),
            num_levels=num_levels,
            batch_size=batch_size,
            loader=loader,
        )
        self.num_dims = 2
        self.density, self.splits, self.source_seed = density, splits, source_seed
        p = density.bin_probabilities(num_levels).flatten().numpy()
        self._log_p = np.log(np.maximum(p, np.finfo(np.float64).tiny))
        self._cumulative = np.cumsum(p)
        self.entropy_nats = float(-np.sum(p * self._log_p))
        self.entropy_bits_per_dim = self.entropy_nats / math.log(2) / 2

    def enumerate(self) -> Tensor:
        """All pairs, uint8 ``[num_levels**2, 2]``."""
        return self._decode(np.arange(self.num_levels**2))

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-probabilities of pairs ``[B, 2]``, in nats: float64 ``[B]``."""
        rows = x.cpu().numpy().astype(np.int64)
        return torch.from_numpy(self._log_p[rows[:, 0] * self.num_levels + rows[:, 1]])

    @override
    def read(self) -> dict[SplitName, Split]:
        """Draws the samples, each split from its own random stream."""
        sizes = (self.splits.num_train, self.splits.num_val, self.splits.num_test)
        streams = enumerate(zip(SPLITS, sizes, strict=True), 1)
        return {name: Split(self._sample(size, stream)) for stream, (name, size) in streams}

    def _sample(self, n: int, stream: int) -> Tensor:
        u = np.random.default_rng((self.source_seed, stream)).random(n) * self._cumulative[-1]
        return self._decode(np.searchsorted(self._cumulative, u, side="right"))

    def _decode(self, codes: np.ndarray) -> Tensor:
        pairs = np.stack([codes // self.num_levels, codes % self.num_levels], 1)
        return torch.from_numpy(pairs.astype(np.uint8))
