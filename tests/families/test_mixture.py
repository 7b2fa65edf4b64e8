"""Discretized mixtures of logistics for whole pixels: against their definition, and at extreme parameters."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lit_gen.families.autoregressive.mixture import PixelMixture, num_parameters


def levels(num_levels: int, *shape: int) -> Tensor:
    return torch.randint(0, num_levels, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def reference(parameters: Tensor, x: Tensor, K: int, num_levels: int) -> Tensor:
    """P of pixels by the paper's formulas, one number after the other, in float64: ``[N]``."""
    half, C = 1 / (num_levels - 1), x.shape[1]
    out = []
    for row, pixel in zip(parameters.double().tolist(), x.tolist(), strict=True):
        v = [-1 + 2 * level * half for level in pixel]
        logits, rest = row[:K], row[K:]
        total, norm = 0.0, sum(math.exp(a) for a in logits)
        for k in range(K):
            mean, log_scale = rest[k : C * K : K], rest[C * K + k : 2 * C * K : K]
            pairs = iter(rest[2 * C * K + k :: K])
            p = math.exp(logits[k]) / norm
            for c in range(C):
                m = mean[c] + sum(math.tanh(next(pairs)) * v[i] for i in range(c))
                s = math.exp(max(log_scale[c], -7.0))
                upper = 1.0 if pixel[c] == num_levels - 1 else sigmoid((v[c] + half - m) / s)
                lower = 0.0 if pixel[c] == 0 else sigmoid((v[c] - half - m) / s)
                p *= upper - lower
            total += p
        out.append(total)
    return torch.tensor(out, dtype=torch.float64)


def sigmoid(z: float) -> float:
    return 0.5 * (1 + math.tanh(z / 2))


@pytest.mark.parametrize("num_levels", [2, 3, 17, 256])
@pytest.mark.parametrize("C", [1, 2, 3, 4])
def test_the_mixture_is_the_papers(C: int, num_levels: int) -> None:
    N, K = 60, 3
    parameters = torch.randn(N, num_parameters(C, K), generator=torch.Generator().manual_seed(0))
    x = levels(num_levels, N, C)
    mixture, expected = PixelMixture(parameters, C, num_levels), reference(parameters, x, K, num_levels)
    assert torch.allclose(mixture.log_prob(x).double(), expected.log(), atol=1e-4)
    # Channel by channel, each by all levels of it: the same, the component being shared by the channels.
    each = torch.stack([mixture.level_log_probs(c, x) for c in range(C)], 1)
    assert torch.allclose(each.exp().sum(2), torch.ones(N, C), atol=1e-5)
    chosen = each.gather(2, x.long()[:, :, None]).sum((1, 2))
    assert torch.allclose(chosen, mixture.log_prob(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("num_levels", [2, 256])
def test_extreme_parameters_have_finite_costs_and_gradients(num_levels: int, size: float) -> None:
    N, C, K = 200, 3, 4
    raw = size * torch.randn(N, num_parameters(C, K), generator=torch.Generator().manual_seed(0))
    parameters, x = raw.requires_grad_(), levels(num_levels, N, C)
    log_prob = PixelMixture(parameters, C, num_levels).log_prob(x)
    assert log_prob.isfinite().all()
    assert (log_prob <= 1e-5).all()
    log_prob.sum().backward()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()
    mixture = PixelMixture(parameters.detach(), C, num_levels)
    for c in range(C):
        assert torch.allclose(mixture.level_log_probs(c, x).exp().sum(1), torch.ones(N), atol=1e-5)


def test_a_cost_far_from_every_component_still_pulls_one_near() -> None:
    """A probability of exp(-500) is no zero: its gradient is that of the tail, not of a floor."""
    parameters = torch.tensor([[0.0, -1.0, math.log(1 / 250)]]).requires_grad_()
    log_prob = PixelMixture(parameters, 1, 256).log_prob(torch.tensor([[255]], dtype=torch.uint8))
    assert float(log_prob.detach()) == pytest.approx(-500 + 250 / 255, rel=1e-3)
    log_prob.sum().backward()
    assert float(parameters.grad[0, 1]) == pytest.approx(250.0, rel=1e-3)
