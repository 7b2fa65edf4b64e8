"""Muon: orthogonalized momentum for hidden weights, AdamW for all other parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lit_gen.errors import UserError

# Coefficients of the quintic iteration, as in torch.optim.Muon: they raise small singular values fastest.
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
    """Muon with Nesterov momentum for hidden weights ``[outputs, ...]``, each as one matrix; AdamW for the rest.

    The root mean square of a step is 0.2 lr, about that of AdamW, so that both share one learning rate and one weight
    decay. Matrices of one shape are orthogonalized together, in float32; :class:`torch.optim.Muon` goes one by one,
    and takes no convolutions. Of a masked weight the whole matrix takes the step: with several colour channels part of
    its length is spent on entries that the mask sets to zero.

    Args:
        params: Parameter groups with a key ``hidden``, see :func:`~lit_gen.optim.parameter_groups`. Groups without the
            key are not hidden.
        lr: Learning rate of both.
        betas: Decay rates of AdamW.
        weight_decay: Decoupled weight decay of both.
        momentum: Momentum of Muon.

    Raises:
        UserError: No group is hidden.
        ValueError: An argument is out of range, or a hidden parameter is not a matrix.

    References:
        Jordan et al. 2024, see :func:`orthogonal`. The length of a step: Liu et al.: Muon is Scalable for LLM Training,
        2025, arXiv:2502.16982, section 2.2.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"Invalid momentum value: {momentum}")
        groups: list[Any] = [{**each} if isinstance(each, dict) else each for each in params]
        if not any(isinstance(group, dict) and group.get("hidden") for group in groups):
            raise UserError("Muon is for weights between hidden layers, and this model names none; use AdamW")
        # It validates lr, betas and weight_decay, and is given its groups before each step.
        self._adamw = torch.optim.AdamW([{"params": []}], lr, betas, weight_decay=weight_decay, fused=True)
        super().__init__(groups, {**self._adamw.defaults, "momentum": momentum, "hidden": False})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group, which AdamW updates unless it has ``hidden=True``.

        Raises:
            ValueError: A hidden parameter is not a matrix.
        """
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if group["hidden"] and any(p.ndim < 2 for p in group["params"]):
            raise ValueError("Muon takes hidden parameters of at least two dimensions")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["hidden"]:
                self._muon_step(group)
        # Loading a state replaces both attributes, so they are passed on at every step.
        self._adamw.param_groups = [group for group in self.param_groups if not group["hidden"]]
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
