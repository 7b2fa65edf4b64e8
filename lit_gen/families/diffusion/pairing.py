"""Pairing of noise and data in flow matching."""

from __future__ import annotations

import abc

import torch
from torch import Tensor
from typing_extensions import override


class Pairing(abc.ABC):
    """Pairs the examples of a batch with noise samples; both keep their marginal distributions."""

    @abc.abstractmethod
    def pair(self, x: Tensor, eps: Tensor) -> Tensor:
        """Returns the noise ``[B, *shape]``, reordered to match the data ``[B, *shape]``."""


class IndependentPairing(Pairing):
    """Random pairs.

    References:
        Lipman et al.: Flow Matching for Generative Modeling, 2023, arXiv:2210.02747, section 4.1.
    """

    @override
    def pair(self, x: Tensor, eps: Tensor) -> Tensor:
        return eps


class OptimalTransportPairing(Pairing):
    """Pairs with the least sum of squared distances within a batch, for straighter paths that cross less.

    References:
        Tong et al.: Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport, 2024,
        arXiv:2302.00482, section 3.2.3.
    """

    @override
    def pair(self, x: Tensor, eps: Tensor) -> Tensor:
        """Reorders the noise; takes time cubic in the batch size."""
        from scipy.optimize import linear_sum_assignment  # takes a second to import

        cost = torch.cdist(x.flatten(1).float(), eps.flatten(1).float()).square()
        _, columns = linear_sum_assignment(cost.cpu().numpy())
        return eps[torch.as_tensor(columns, device=eps.device)]
