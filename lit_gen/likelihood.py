"""Log-likelihoods in nats, and their conversion to bits per dimension.

Every ``log_prob`` sums over an example's dimensions and returns ``[B]``. Data are integers ``{0..num_levels-1}``; the
conversions between them and the real numbers that networks take are in :mod:`lit_gen.quantization`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.quantization import to_symmetric

Kind = Literal["exact", "bound", "estimate"]
Number = TypeVar("Number", Tensor, float)


@dataclass(frozen=True)
class Likelihood:
    """The negative log-likelihood of a batch and its kind.

    Attributes:
        nats: Negative log-likelihoods ``[B]``, summed over the dimensions of each example.
        kind: ``exact``; ``bound``: an upper bound on the true value, in expectation over its draws;
            ``estimate``: neither, but close to it (solver error, random trace).
        estimator: Name of the estimator: ``elbo``, ``iwae-5000``, ``softmax`` ...
        parts: Further ``[B]`` tensors in nats that explain the value, such as rate and distortion.
    """

    nats: Tensor
    kind: Kind
    estimator: str
    parts: dict[str, Tensor] | None = None


def joint_nll(prior: Likelihood, decoder_nats: Tensor) -> Likelihood:
    """Negative log-likelihood of examples under a model trained in two stages, from the likelihoods of its parts.

    With codes z = e(x) of a deterministic encoder, a prior p(z) over codes and a decoder p(x | z),

        -log p(x) = -log sum_z' p(z') p(x | z') <= -log p(z) - log p(x | z),

    since all terms of the sum are nonnegative and z is one of them. The sum of two exact values is therefore a
    *bound*; it is the exact value only if no other code can produce x. For a stochastic encoder q(z | x) it is also a
    bound in expectation: it exceeds the negative ELBO by the entropy of q(z | x), which is not negative for codes.
    A prior that is itself a bound gives a bound, and one that is an estimate gives an estimate.

    Args:
        prior: ``-log p(z)`` of the codes of each example, in nats ``[B]``.
        decoder_nats: Exact values of ``-log p(x | z)`` for the same examples and codes, in nats ``[B]``.

    Returns:
        Nats ``[B]``, never of kind ``exact``; the parts are the rate (of the codes) and the distortion.

    Raises:
        ValueError: The two are not of the same examples.

    References:
        van den Oord, Vinyals, Kavukcuoglu: Neural Discrete Representation Learning, 2017, arXiv:1711.00937,
        section 3.2.

    >>> joint = joint_nll(Likelihood(torch.tensor([2.0]), "exact", "softmax"), torch.tensor([3.0]))
    >>> joint.nats.tolist(), joint.kind, joint.estimator
    ([5.0], 'bound', 'codes-softmax')
    """
    if prior.nats.shape != decoder_nats.shape or decoder_nats.ndim != 1:
        raise ValueError(f"nats of shapes {tuple(prior.nats.shape)} and {tuple(decoder_nats.shape)}: need the same [B]")
    return Likelihood(
        nats=prior.nats + decoder_nats,
        kind="estimate" if prior.kind == "estimate" else "bound",
        estimator=f"codes-{prior.estimator}",
        parts={"rate": prior.nats, "distortion": decoder_nats},
    )


def bits_per_dim(nats: Number, shape: Sequence[int]) -> Number:
    """Converts nats of a whole example of the given shape into bits per dimension.

    >>> round(bits_per_dim(64 * math.log(17), (1, 8, 8)), 4)
    4.0875
    """
    return nats / (math.prod(shape) * math.log(2.0))


class RunningNats:
    """Mean and standard error of nats over a split, independent of batch size and number of processes.

    Sums are kept in float64 as ``(count, sum, sum of squares, non-finite)``, which add across processes.
    """

    def __init__(self, sums: Tensor | None = None) -> None:
        self.sums = torch.zeros(4, dtype=torch.float64) if sums is None else sums

    def update(self, nats: Tensor) -> None:
        """Adds a batch ``[B]``; values that are not finite are included and counted separately."""
        nats = nats.detach().double().cpu()
        bad = (~nats.isfinite()).sum()
        self.sums += torch.stack([torch.tensor(float(len(nats))), nats.sum(), nats.square().sum(), bad])

    @property
    def count(self) -> int:
        """Number of examples."""
        return int(self.sums[0])

    @property
    def non_finite(self) -> int:
        """Number of examples without a finite likelihood."""
        return int(self.sums[3])

    @property
    def mean(self) -> float:
        """Mean nats per example; NaN or infinite if any example's value is not finite.

        Raises:
            ValueError: If no example was added.
        """
        if not self.count:
            raise ValueError("no example was scored, so there is no mean likelihood")
        return float(self.sums[1] / self.sums[0])

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, in nats, over examples (and draws, which differ between examples)."""
        n = self.sums[0]
        variance = (self.sums[2] - self.sums[1] ** 2 / n).clamp_min(0) / (n - 1)
        return float((variance / n).sqrt())


# ------------------------------------------------------------------ observation models, nats [B]


def _sum_dims(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)


def bernoulli_log_prob(logits: Tensor, x: Tensor) -> Tensor:
    """Log p of binary x under independent Bernoullis; both ``[B, *shape]``."""
    return -_sum_dims(F.binary_cross_entropy_with_logits(logits, x.float(), reduction="none"))


def categorical_log_prob(logits: Tensor, x: Tensor) -> Tensor:
    """Log p of x ``[B, *shape]`` under independent categoricals with logits ``[B, L, *shape]``."""
    return -_sum_dims(F.cross_entropy(logits, x.long(), reduction="none"))


def discretized_logistic_log_prob(mean: Tensor, log_scale: Tensor, x: Tensor, num_levels: int) -> Tensor:
    """Log p of integers x under logistics on [-1, 1] whose mass is collected in bins around each value.

    The outermost bins extend to infinity, so that each dimension's probabilities sum to one. The difference of two
    sigmoids is computed as ``s(a) s(-b) (1 - exp(b - a))``, which never cancels and needs no clamping.

    Args:
        mean: Locations ``[B, *shape]``, on the scale of :func:`to_symmetric`.
        log_scale: Log scales ``[B, *shape]``.
        x: Integers ``[B, *shape]``.
        num_levels: Number of values of the data.

    References:
        Salimans, Karpathy, Chen, Kingma: PixelCNN++, 2017, arXiv:1701.05517, equation 2.
    """
    levels = x.float()
    inverse_scale = torch.exp(-log_scale)
    # Bin edges are computed from half-integers, so that neighbouring bins share them exactly: rounded edges would
    # leave gaps or overlaps, which weigh 0.2 of the total at a scale of 1e-7.
    upper = (to_symmetric(levels + 0.5, num_levels) - mean) * inverse_scale
    lower = (to_symmetric(levels - 0.5, num_levels) - mean) * inverse_scale
    log_width = torch.log(-torch.expm1(-2.0 / (num_levels - 1) * inverse_scale))
    log_below = torch.where(x == num_levels - 1, 0.0, F.logsigmoid(upper))
    log_above = torch.where(x == 0, 0.0, F.logsigmoid(-lower))
    inside = (x > 0) & (x < num_levels - 1)
    return _sum_dims(log_below + log_above + torch.where(inside, log_width, 0.0))


# ------------------------------------------------------------------ Gaussians and bounds


def gaussian_log_prob(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Log N(z; mean, exp(log_var)), diagonal, summed over all but the first dimension."""
    return -0.5 * _sum_dims(log_var + (z - mean) ** 2 * torch.exp(-log_var) + math.log(2 * math.pi))


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Log N(z; 0, 1), summed over all but the first dimension."""
    return -0.5 * _sum_dims(z**2 + math.log(2 * math.pi))


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL( N(mean, exp(log_var)) || N(0, 1) ) in nats, ``[B]``.

    References:
        Kingma, Welling: Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114, appendix B.
    """
    return 0.5 * _sum_dims(mean**2 + log_var.exp() - 1.0 - log_var)


class LogMeanExp:
    """Log of the mean of exponentials, accumulated in chunks, as in an importance-weighted bound.

    >>> total = LogMeanExp()
    >>> for chunk in torch.tensor([[0.0], [1.0], [2.0]]).split(1):
    ...     total.update(chunk)
    >>> round(float(total.value), 4)
    1.309
    """

    def __init__(self) -> None:
        self._log_sum: Tensor | None = None
        self._count = 0

    def update(self, log_weights: Tensor) -> None:
        """Adds ``[K, B]`` log weights; kept in float64 on the CPU, because not every device supports it."""
        chunk = torch.logsumexp(log_weights.cpu().double(), 0)
        self._log_sum = chunk if self._log_sum is None else torch.logaddexp(self._log_sum, chunk)
        self._count += len(log_weights)

    @property
    def value(self) -> Tensor:
        """``log (1/K) sum_k exp(log_weights_k)``, ``[B]`` float64."""
        if self._log_sum is None:
            raise ValueError("no weights were added")
        return self._log_sum - math.log(self._count)
