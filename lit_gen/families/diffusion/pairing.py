"""Which noise is joined to which data, in flow matching."""

from __future__ import annotations

import abc

import torch
from torch import Tensor
from typing_extensions import override


class Pairing(abc.ABC):
    """Pairs the data of a batch with noise, each of which keeps its own distribution."""

    @abc.abstractmethod
    def pair(self, x: Tensor, eps: Tensor) -> Tensor:
        """The noise ``[B, *shape]`` in the order of the data ``[B, *shape]`` that it belongs to."""


class IndependentPairing(Pairing):
    """Any noise to any data.

    References:
        Lipman et al.: Flow Matching for Generative Modeling, 2023, arXiv:2210.02747, section 4.1.
    """

    @override
    def pair(self, x: Tensor, eps: Tensor) -> Tensor:
        return eps


class OptimalTransportPairing(Pairing):
    """The pairs whose squared distances have the least sum within a batch: straighter paths, that cross less.

    References:
        Tong et al.: Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport, 2024,
        arXiv:2302.00482, section 3.2.3.
    """

    @override
    def pair(self, x: Tensor, eps: Tensor) -> Tensor:
        """In time that grows with the cube of the batch."""
        from scipy.optimize import linear_sum_assignment  # a second to import, for those who use it

        cost = torch.cdist(x.flatten(1).float(), eps.flatten(1).float()).square()
        _, columns = linear_sum_assignment(cost.cpu().numpy())
        return eps[torch.as_tensor(columns, device=eps.device)]
