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

    Singular values end between about 0.7 and 1.2, those under a thousandth of the matrix's norm excepted; a matrix of
    zeros stays one.

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


class Muon(torch.optim.AdamW):
    """Muon with Nesterov's momentum for weights ``[outputs, ...]``, each as one matrix; AdamW for the rest.

    A step's root mean square is 0.2 lr, about AdamW's, so that both take one learning rate and one weight decay.
    Matrices of one shape are made orthogonal together, in float32: a small net has dozens, which one by one, as in
    torch.optim.Muon, would take half as long as its gradients.

    Args:
        hidden: Weights between layers of features: not those that read the data or give the output.
        others: Groups as AdamW takes them.
        lr: Of both.
        betas: AdamW's.
        weight_decay: Decoupled, of both.
        momentum: Muon's.

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
        groups = [{"params": list(hidden), "momentum": momentum}, *({"momentum": None, **group} for group in others)]
        super().__init__(groups, lr, betas, weight_decay=weight_decay, fused=True)
        # The scaler of float16 is to unscale gradients before they go into momenta, which AdamW alone would do itself.
        self._step_supports_amp_scaling = False

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        taken: list[tuple[nn.Parameter, Tensor]] = []
        for group in self.param_groups:
            if group["momentum"] is not None:
                taken += self._muon_step(group)
        for parameter, _ in taken:
            parameter.grad = None  # not for AdamW
        super().step()
        for parameter, grad in taken:
            parameter.grad = grad
        return loss

    def _muon_step(self, group: dict[str, Any]) -> list[tuple[nn.Parameter, Tensor]]:
        """Parameters that were moved, and their gradients."""
        taken = [(p, p.grad) for p in group["params"] if p.grad is not None]
        alike: dict[tuple[int, ...], list[tuple[nn.Parameter, Tensor]]] = {}
        for parameter, grad in taken:
            alike.setdefault(tuple(parameter.shape), []).append((parameter, grad))
        for shape, pairs in alike.items():
            weights, grads = (list(t) for t in zip(*pairs, strict=True))
            moving = [self._moving(p) for p in weights]
            torch._foreach_lerp_(moving, grads, 1 - group["momentum"])
            ahead = torch._foreach_lerp(grads, moving, group["momentum"])
            matrices = torch.stack([each.flatten(1) for each in ahead])
            length = 0.2 * max(matrices.shape[1:]) ** 0.5
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            steps = [step.view(shape) for step in orthogonal(matrices).contiguous()]
            torch._foreach_add_(weights, steps, alpha=-group["lr"] * length)
        return taken

    def _moving(self, parameter: nn.Parameter) -> Tensor:
        """Its gradient's moving average."""
        state = self.state[parameter]
        if not state:
            # AdamW looks for a count in every state that it loads.
            state.update(step=torch.zeros(()), moving=torch.zeros_like(parameter))
        return state["moving"]
