"""RMSprop with the arguments that are configured."""

from __future__ import annotations

import torch
from torch.optim.optimizer import ParamsT


class RMSprop(torch.optim.RMSprop):
    """RMSprop with the defaults of Wasserstein GANs, whose critic is not trained with momentum.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        alpha: Decay rate of the running average of the squared gradient.
        eps: Added to the denominator.

    References:
        Arjovsky, Chintala, Bottou: Wasserstein GAN, 2017, arXiv:1701.07875, algorithm 1.
    """

    def __init__(self, params: ParamsT, lr: float = 5.0e-5, alpha: float = 0.99, eps: float = 1.0e-8) -> None:
        super().__init__(params, lr, alpha, eps, foreach=True)
