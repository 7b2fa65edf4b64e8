"""Shape of a distribution's tail, which shows whether a mean and its standard error are reliable."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_FEWEST = 25
"""Fewest values whose tail says anything: five of them are fitted."""


def pareto_k(values: Tensor) -> float | None:
    """Shape k of a generalized Pareto distribution fitted to the largest values.

    Moments of order 1/k and above do not exist: for k of at least 0.5 the variance is infinite, so that a mean over n
    values converges slower than its standard error says. Up to 0.7 the error is still usable with the usual numbers of
    values. The largest ``min(n / 5, 3 sqrt(n))`` values are fitted, and the estimate is shrunk towards 0.5 with the
    weight of ten values, since it is noisy where they are few.

    Args:
        values: Values whose upper tail is fitted, ``[N]``; their order does not matter.

    Returns:
        The shape; None for fewer than 25 values, or if the largest of them are all equal.

    References:
        Zhang, Stephens: A new and efficient estimation method for the generalized Pareto distribution, 2009.
        Vehtari, Simpson, Gelman, Yao, Gabry: Pareto Smoothed Importance Sampling, 2024, arXiv:1507.02646, section 3.
    """
    n = len(values)
    if n < _FEWEST:
        return None
    number = int(min(n / 5, 3 * math.sqrt(n)))
    largest = values.double().sort().values[-number - 1 :]
    excess = largest[1:] - largest[0]
    excess = excess[excess > 0]
    if len(excess) < 5:
        return None
    return _fitted_shape(excess)


def _fitted_shape(excess: Tensor) -> float:
    """Zhang and Stephens' estimate for ascending, positive excesses over a threshold, ``[M]``."""
    number = len(excess)
    scale = excess[-1]
    x = excess / scale  # free of the unit
    candidates = 30 + int(math.sqrt(number))
    quartile = x[int(number / 4 + 0.5) - 1]
    position = torch.arange(1, candidates + 1, dtype=torch.float64)
    theta = 1 + (1 - torch.sqrt(candidates / (position - 0.5))) / (3 * quartile)
    shape = torch.log1p(-theta[:, None] * x).mean(1)
    log_likelihood = number * (torch.log(-theta / shape) - shape - 1)
    weight = torch.softmax(log_likelihood, 0)
    best = (theta * weight).sum()
    k = float(torch.log1p(-best * x).mean())
    return (number * k + 5) / (number + 10)
