"""Muon: hidden weights go a step of equal length in every direction; all other parameters are AdamW's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

OptimizerName = Literal["adamw", "muon"]

# Of the quintic iteration: Jordan's, which lift small singular values fastest; torch.optim.Muon has the same.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5


def orthogonal(matrices: Tensor) -> Tensor:
    """About ``U V^T`` of each ``U S V^T``, by a Newton-Schulz iteration: ``[N, rows, columns]``.

    Singular values of at least 1/600 of the matrix's Frobenius norm end between 0.68 and 1.21, smaller ones below; a
    matrix of zeros stays one.

    References:
        Jordan et al.: Muon, an optimizer for hidden layers in neural networks, 2024, kellerjordan.github.io/posts/muon.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov's momentum for weights ``[outputs, ...]``, each as one matrix; AdamW for the rest.

    A step's root mean square is 0.2 lr, about AdamW's, so that both take one learning rate and one weight decay.
    Matrices of one shape are made orthogonal together, in float32; torch.optim.Muon goes one by one, and takes no
    convolutions. Of a masked weight the whole matrix takes the step: with several colour channels part of its length is
    spent where the mask blanks.

    Args:
        hidden: Weights between layers of features: not those that read the data or give the output.
        others: Groups as AdamW takes them.
        lr: Of both.
        betas: AdamW's.
        weight_decay: Decoupled, of both.
        momentum: Muon's; None in the groups that are AdamW's.

    References:
        Jordan et al. 2024, see :func:`orthogonal`. The length of a step: Liu et al.: Muon is Scalable for LLM Training,
        2025, arXiv:2502.16982, section 2.2.
    """

    def __init__(
        self,
        hidden: Sequence[nn.Parameter],
        others: Iterable[dict[str, Any]],
        lr: float = 1.0e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        groups = [*others] or [{"params": []}]
        self._adamw = torch.optim.AdamW(groups, lr, betas, weight_decay=weight_decay, fused=True)
        own = {"params": list(hidden), "momentum": momentum}
        super().__init__([own, *self._adamw.param_groups], {**self._adamw.defaults, "momentum": None})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["momentum"] is not None:
                self._muon_step(group)
        # Both are exchanged when a state is loaded.
        self._adamw.param_groups = [group for group in self.param_groups if group["momentum"] is None]
        self._adamw.state = self.state
        self._adamw.step()
        return loss

    def _muon_step(self, group: dict[str, Any]) -> None:
        alike: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                alike.setdefault(tuple(parameter.shape), []).append((parameter, parameter.grad))
        for shape, pairs in alike.items():
            weights, grads = (list(t) for t in zip(*pairs, strict=True))
            moving = [self.state[p].setdefault("moving", torch.zeros_like(p)) for p in weights]
            torch._foreach_lerp_(moving, grads, 1 - group["momentum"])
            ahead = torch._foreach_lerp(grads, moving, group["momentum"])
            matrices = torch.stack([each.flatten(1) for each in ahead])
            length = 0.2 * max(matrices.shape[1:]) ** 0.5
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            steps = [step.view(shape) for step in orthogonal(matrices).contiguous()]
            torch._foreach_add_(weights, steps, alpha=-group["lr"] * length)
