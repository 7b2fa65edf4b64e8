"""A synthetic discrete source whose entropy is known exactly: ground truth for every likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.data.loader import Loader
from lit_gen.data.module import SPLITS, DiscreteDataModule, Split, SplitName
from lit_gen.errors import UserError

MAX_STATES = 2**20


@dataclass(frozen=True)
class SampleSizes:
    """Numbers of examples that are drawn independently from a source.

    Args:
        num_train: Number of training examples.
        num_val: Number of validation examples.
        num_test: Number of test examples.
    """

    num_train: int = 20_000
    num_val: int = 2_000
    num_test: int = 10_000


class KnownEntropy(DiscreteDataModule):
    """A seeded mixture of products of categoricals on a space small enough to enumerate.

    p(x) = sum_k w_k prod_d theta_kd[x_d], with w and theta drawn from Dirichlet distributions. Given the
    component the pixels are independent; marginally they are dependent. The entropy is the sum over all
    states, in float64, so a model that scores below it (by more than chance) is wrong.

    Args:
        shape: Shape of one example.
        num_levels: Number of values of a pixel; there are num_levels ** prod(shape) states.
        num_components: Number of components of the mixture.
        concentration: Concentration of the Dirichlet distribution of each categorical; small is peaked.
        splits: Numbers of examples.
        source_seed: Seed of the source and of all three samples.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order alone.

    Attributes:
        entropy_nats: Entropy of one example, in nats.
        entropy_bits_per_dim: Entropy in bits per dimension: the lower bound of every valid bits/dim.

    Raises:
        UserError: The space has more than 2**20 states.

    >>> source = KnownEntropy(shape=(1, 2, 2), num_levels=2)
    >>> round(float(source.log_prob(source.enumerate()).exp().sum()), 12)
    1.0
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (1, 3, 3),
        num_levels: int = 3,
        num_components: int = 4,
        concentration: float = 0.5,
        splits: SampleSizes = SampleSizes(),
        source_seed: int = 0,
        batch_size: int = 128,
        loader: Loader = Loader(),
    ) -> None:
        super().__init__(
            name=f"known_entropy_{'x'.join(str(side) for side in shape)}_{num_levels}",
            shape=shape,
            num_levels=num_levels,
            batch_size=batch_size,
            loader=loader,
        )
        self.num_dims = math.prod(self.shape)
        self._check_source(num_components, concentration)
        self.splits = splits
        self.source_seed = source_seed
        rng = np.random.default_rng((source_seed, 0))
        self._log_weights = np.log(rng.dirichlet(np.full(num_components, 4.0)))
        theta = rng.dirichlet(np.full(num_levels, concentration), size=(num_components, self.num_dims))
        # a lower bound of each probability: every state is possible, so every log_prob is finite
        self._log_theta = np.log(0.99 * theta + 0.01 / num_levels)
        log_p = self.log_prob(self.enumerate()).numpy()
        self._cumulative = np.cumsum(np.exp(log_p))
        self.entropy_nats = float(-np.sum(np.exp(log_p) * log_p))
        self.entropy_bits_per_dim = self.entropy_nats / math.log(2) / self.num_dims

    def enumerate(self) -> Tensor:
        """All states, uint8 ``[S, *shape]``, in the order of their base-``num_levels`` number."""
        codes = np.arange(self.num_levels**self.num_dims)
        return self._decode(codes)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-probability of each example.

        Args:
            x: Integers in {0..num_levels-1}, ``[B, *shape]``.

        Returns:
            Log-probabilities in nats, float64 ``[B]``.
        """
        pixels = x.reshape(len(x), -1).cpu().numpy()
        joint = np.tile(self._log_weights, (len(pixels), 1))  # [B, K]
        for d in range(self.num_dims):
            joint += self._log_theta[:, d, :].T[pixels[:, d]]
        return torch.logsumexp(torch.from_numpy(joint), dim=1)

    @override
    def read(self) -> dict[SplitName, Split]:
        """Draws the samples, each split from its own random stream."""
        sizes = (self.splits.num_train, self.splits.num_val, self.splits.num_test)
        streams = enumerate(zip(SPLITS, sizes, strict=True), 1)  # stream 0 drew the source
        return {name: Split(self._sample(size, stream)) for stream, (name, size) in streams}

    def _check_source(self, num_components: int, concentration: float) -> None:
        if self.num_levels**self.num_dims > MAX_STATES:
            raise UserError(
                f"data set '{self.name}' has {self.num_levels}**{self.num_dims} states, too many to enumerate "
                f"(at most {MAX_STATES}); make shape or num_levels smaller"
            )
        if num_components < 1 or concentration <= 0:
            raise UserError(
                f"data set '{self.name}' needs num_components >= 1 and concentration > 0, "
                f"got {num_components} and {concentration}"
            )

    def _sample(self, n: int, stream: int) -> Tensor:
        u = np.random.default_rng((self.source_seed, stream)).random(n) * self._cumulative[-1]
        return self._decode(np.searchsorted(self._cumulative, u, side="right"))

    def _decode(self, codes: np.ndarray) -> Tensor:
        place = self.num_levels ** np.arange(self.num_dims - 1, -1, -1)
        pixels = codes[:, None] // place % self.num_levels
        return torch.from_numpy(pixels.astype(np.uint8)).reshape(-1, *self.shape)
