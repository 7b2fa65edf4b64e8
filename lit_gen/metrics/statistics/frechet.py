"""The Frechet distance between two sets of features, from sums that stream, add and travel between ranks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from lit_gen.metrics.sums import Estimate, Sums, jackknife


@dataclasses.dataclass(frozen=True)
class FrechetSums(Sums):
    """Sufficient statistics of a set of features: their count, sum and outer products.

    >>> halves = [FrechetSums.of(torch.tensor([[1.0], [2.0]])), FrechetSums.of(torch.tensor([[6.0]]))]
    >>> whole = halves[0] + halves[1]
    >>> int(whole.count), whole.mean.item(), round(whole.covariance.item(), 6)
    (3, 3.0, 7.0)
    """

    count: Tensor
    """float64 [], the number of examples."""
    total: Tensor
    """float64 [D], the sum of the features."""
    outer: Tensor
    """float64 [D, D], the sum of the features' outer products."""

    @classmethod
    def zeros(cls, num_features: int, device: torch.device | str = "cpu") -> FrechetSums:
        """The sums of no features at all."""
        shapes: tuple[tuple[int, ...], ...] = ((), (num_features,), (num_features, num_features))
        return cls(*(torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes))

    @classmethod
    def of(cls, features: Tensor) -> FrechetSums:
        """The sums of features [B, D], on their device."""
        features = features.double()
        count = torch.tensor(float(len(features)), dtype=torch.float64, device=features.device)
        return cls(count, features.sum(0), features.T @ features)

    def update(self, features: Tensor) -> None:
        """Adds features [B, D], in place."""
        features = features.to(self.total.device, torch.float64)
        self.count.add_(len(features))
        self.total.add_(features.sum(0))
        self.outer.addmm_(features.T, features)

    @property
    def complete(self) -> bool:
        """Whether there are two examples or more, all finite."""
        return bool(self.count >= 2 and self.total.isfinite().all() and self.outer.isfinite().all())

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
    def of(cls, sums: FrechetSums) -> FrechetReference:
        """Factors the covariance: Cholesky where it has full rank, else its leading eigenvectors.

        Raises:
            ValueError: for fewer than two examples, or sums that are not finite.
        """
        sums = checked(sums)
        covariance = sums.covariance
        if sums.rank_bound == len(sums.total):
            factor, failed = torch.linalg.cholesky_ex(covariance)
            if not failed:
                return cls(sums.mean, covariance.trace(), factor)
        values, vectors = torch.linalg.eigh(covariance)
        rank = sums.rank_bound
        factor = vectors[:, -rank:] * values[-rank:].clamp(min=0).sqrt()
        return cls(sums.mean, covariance.trace(), factor)

    def distance(self, sums: FrechetSums) -> float:
        """The Frechet distance of a set of features from this one."""
        sums = checked(sums)
        covariance = sums.covariance
        eigenvalues = torch.linalg.eigvalsh(self.factor.T @ covariance @ self.factor)
        # In exact arithmetic no eigenvalue beyond the smaller rank differs from 0. The square root of its
        # rounding error does (1e-16 becomes 1e-8), and there may be thousands.
        rank = min(sums.rank_bound, self.factor.shape[1])
        cross = eigenvalues[-rank:].clamp(min=0).sqrt().sum()
        squared = (sums.mean - self.mean).square().sum()
        return float(squared + covariance.trace() + self.trace - 2 * cross)


def checked(sums: FrechetSums) -> FrechetSums:
    """The sums on the CPU, where machines differ least; refuses what has no distance."""
    sums = sums.map(lambda tensor: tensor.detach().cpu())
    if sums.count < 2:
        raise ValueError(f"a covariance needs 2 examples or more, not {int(sums.count)}")
    if not (sums.total.isfinite().all() and sums.outer.isfinite().all()):
        raise ValueError("the features hold values that are not finite")
    return sums


def frechet_distance(a: FrechetSums, b: FrechetSums) -> float:
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


def frechet_jackknife(groups: Sequence[FrechetSums], reference: FrechetSums) -> Estimate:
    """The Frechet distance of the groups' union from a reference, with its jackknife error (see ``jackknife``).

    The reference is held fixed, and the bias of the distance is not part of the error.

    Where samples are as good as real the distance has no slope left, and the error comes out too large rather
    than too small: 1.7 and 1.2 times the spread over 12 draws of 2,000 and of 5,000 MNIST images, against
    1.0 to 1.1 times where the distance is far above its floor.

    Args:
        groups: sums of disjoint groups of samples, of sizes as equal as can be.
        reference: sums of the real data.

    Raises:
        ValueError: for fewer than 2 groups, or where a group holds nearly all samples.
    """
    return jackknife(groups, FrechetReference.of(reference).distance)
