"""The Frechet distance between two sets of features, from sums that stream and add up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.statistic import NUM_GROUPS, Statistic


@dataclasses.dataclass(frozen=True)
class Moments:
    """Sufficient statistics of a set of features for a Gaussian: their count, sum and outer products.

    >>> moments = Moments.of(torch.tensor([[1.0], [2.0], [6.0]]))
    >>> int(moments.count), moments.mean.item(), round(moments.covariance.item(), 6)
    (3, 3.0, 7.0)
    """

    count: Tensor
    """float64 [], the number of examples."""
    total: Tensor
    """float64 [D], the sum of the features."""
    outer: Tensor
    """float64 [D, D], the sum of the features' outer products."""

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """The moments of features [B, D], on their device."""
        features = features.double()
        count = torch.tensor(float(len(features)), dtype=torch.float64, device=features.device)
        return cls(count, features.sum(0), features.T @ features)

    @property
    def mean(self) -> Tensor:
        """float64 [D]."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """float64 [D, D], divided by count - 1 as in torch-fidelity."""
        return (self.outer - torch.outer(self.total, self.total) / self.count) / (self.count - 1)

    @property
    def rank_bound(self) -> int:
        """The most directions a covariance of so few examples can have."""
        return min(len(self.total), int(self.count) - 1)


@dataclasses.dataclass(frozen=True)
class FrechetReference:
    """The fixed side of the distance, factored once however often it is compared.

    The trace term of the distance is the sum of the square roots of the eigenvalues of
    ``factor.T @ C @ factor``, where ``factor @ factor.T`` is this side's covariance and C the other's.
    """

    mean: Tensor
    trace: Tensor
    factor: Tensor
    """float64 [D, R]; R < D where the covariance is singular."""

    @classmethod
    def of(cls, moments: Moments) -> FrechetReference:
        """Factors the covariance: Cholesky where it has full rank, else its leading eigenvectors.

        Raises:
            ValueError: for fewer than two examples, or moments that are not finite.
        """
        moments = checked(moments)
        covariance = moments.covariance
        if moments.rank_bound == len(moments.total):
            factor, failed = torch.linalg.cholesky_ex(covariance)
            if not failed:
                return cls(moments.mean, covariance.trace(), factor)
        values, vectors = torch.linalg.eigh(covariance)
        rank = moments.rank_bound
        factor = vectors[:, -rank:] * values[-rank:].clamp(min=0).sqrt()
        return cls(moments.mean, covariance.trace(), factor)

    def distance(self, moments: Moments) -> float:
        """The Frechet distance of a set of features from this one."""
        moments = checked(moments)
        covariance = moments.covariance
        eigenvalues = torch.linalg.eigvalsh(self.factor.T @ covariance @ self.factor)
        # In exact arithmetic no eigenvalue beyond the smaller rank differs from 0. The square root of its
        # rounding error does (1e-16 becomes 1e-8), and there may be thousands.
        rank = min(moments.rank_bound, self.factor.shape[1])
        cross = eigenvalues[-rank:].clamp(min=0).sqrt().sum()
        squared = (moments.mean - self.mean).square().sum()
        return float(squared + covariance.trace() + self.trace - 2 * cross)


def checked(moments: Moments) -> Moments:
    """The moments on the CPU, where machines differ least, validated."""
    moments = Moments(*(t.detach().cpu() for t in (moments.count, moments.total, moments.outer)))
    if moments.count < 2:
        raise ValueError(f"a covariance needs 2 examples or more, not {int(moments.count)}")
    if not (moments.total.isfinite().all() and moments.outer.isfinite().all()):
        raise ValueError("the features hold values that are not finite")
    return moments


def frechet_distance(a: Moments, b: Moments) -> float:
    """The squared 2-Wasserstein distance between the Gaussians fitted to two sets of features.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), covariances divided by n - 1. It is biased upwards by
    about 1/n: two distances compare only at the same counts.

    It equals torch-fidelity's to 6 digits or more, with one exception. Where there are fewer examples than
    features, torch-fidelity adds up the square roots of thousands of eigenvalues that are rounding errors;
    this does not. Seen on 50 images: 19.59714, as the nuclear norm of the features has it, not 19.59700.

    Raises:
        ValueError: when a side has fewer than two examples, or features that are not finite.

    References:
        Heusel et al. 2017, GANs trained by a two time-scale update rule converge to a local Nash equilibrium,
        https://arxiv.org/abs/1706.08500, equation 6.
        Dowson and Landau 1982, The Frechet distance between multivariate normal distributions.
    """
    return FrechetReference.of(b).distance(a)


class FrechetDistance(Statistic):
    """The Frechet distance of samples' features from those of the reference: see :func:`frechet_distance`.

    Named FID in the space of Inception with torch-fidelity's weights, and FD-<space> in any other.

    The standard error is a jackknife's with the reference held fixed; the distance's bias is not part of it. Where
    samples are as good as real ones the distance has no slope left, and the error comes out too large rather than too
    small: 1.7 and 1.2 times the spread over 12 draws of 2,000 and of 5,000 MNIST images, against 1.0 to 1.1 times
    where the distance is far above its minimum.

    Memory: 8 ``num_groups`` D^2 bytes, 336 MB for 2,048 features and 10 groups.

    Args:
        num_features: Number of features D.
        reference: Another instance's ``summary()``, of the real data.
        num_groups: Number of groups of the jackknife.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.
    """

    scores = (ScoreSpec("fd", "FD", standard=("fid", "FID")),)

    count: Tensor
    total: Tensor
    outer: Tensor

    def __init__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_groups: int = NUM_GROUPS,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_features, reference, num_groups=num_groups, **kwargs)
        self.add_state("count", torch.zeros(num_groups, dtype=torch.float64))
        self.add_state("total", torch.zeros(num_groups, num_features, dtype=torch.float64))
        self.add_state("outer", torch.zeros(num_groups, num_features, num_features, dtype=torch.float64))

    @override
    def update(self, features: Tensor, index: Tensor) -> None:
        """Adds features [B, D] of the samples with these indices [B]."""
        features, group = features.to(self.device).double(), self.group(index)
        for g in range(self.num_groups):
            x = features[group == g]
            self.count[g].add_(len(x))
            self.total[g].add_(x.sum(0))
            self.outer[g].addmm_(x.T, x)

    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes ``fd`` and ``fd_se``.

        Raises:
            ValueError: There is no reference; a side has fewer than two examples, or features that are not finite.
        """
        reference = FrechetReference.of(Moments(**self.reference))
        value, error = self.jackknife(lambda state: reference.distance(Moments(**state)))
        return {"fd": value, "fd_se": error}

    @override
    @classmethod
    def is_usable(cls, summary: Mapping[str, Tensor]) -> bool:
        """Returns whether there are two examples or more, all finite."""
        return bool(summary["count"] >= 2) and super().is_usable(summary)
