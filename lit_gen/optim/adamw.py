"""AdamW with the arguments that are configured, and torch's fused implementation."""

from __future__ import annotations

import torch
from torch.optim.optimizer import ParamsT


class AdamW(torch.optim.AdamW):
    """AdamW (decoupled weight decay), which is Adam if the weight decay is 0.

    The default weight decay is 0, other than in :class:`torch.optim.AdamW`. Always uses the fused implementation.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        betas: Decay rates of the running averages of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Coefficient of the decoupled weight decay.

    References:
        Loshchilov, Hutter: Decoupled Weight Decay Regularization, 2019, arXiv:1711.05101.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1.0e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, fused=True)


class AdversarialAdamW(AdamW):
    """AdamW with the defaults of adversarial training: a smaller learning rate and less momentum.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        betas: Decay rates of the running averages of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Coefficient of the decoupled weight decay.

    References:
        Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
        Networks, 2016, arXiv:1511.06434, section 4.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 2.0e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        eps: float = 1.0e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
