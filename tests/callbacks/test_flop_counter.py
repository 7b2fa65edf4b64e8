"""Counted operations: by hand, and without any change to what is computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from callbacks.toys import Counter, train
from lit_gen.callbacks import Throughput
from lit_gen.callbacks.flop_counter import FlopCounter, flops_per_sample
from lit_gen.families import MLPRealNVP
from lit_gen.noise import Noise


def test_products_and_convolutions_by_hand() -> None:
    linear, conv = nn.Linear(5, 7), nn.Conv2d(2, 3, 3, padding=1)
    x, image = torch.randn(4, 5), torch.randn(4, 2, 6, 6)
    with FlopCounter() as counter:
        linear(x)
    assert counter.flops == 2 * 4 * 5 * 7
    with FlopCounter() as counter:
        linear(x).sum().backward()  # the input needs no gradient
    assert counter.flops == 2 * 2 * 4 * 5 * 7
    with FlopCounter() as counter:
        conv(image)
    assert counter.flops == 2 * 4 * 6 * 6 * 3 * 2 * 9


def test_attention_is_counted_on_cpus() -> None:
    q, k, v = (torch.randn(2, 3, 8, 4, requires_grad=True) for _ in range(3))
    forward = 2 * (2 * 2 * 3 * 8 * 8 * 4)
    with FlopCounter() as counter:
        out = F.scaled_dot_product_attention(q, k, v)
    assert counter.flops == forward
    with FlopCounter() as counter:
        out.sum().backward()
    assert counter.flops == 2.5 * forward  # the flash algorithm computes the scores once more
    assert counter.complete


def test_a_counted_step_is_the_same_to_the_last_bit() -> None:
    def gradients(count: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.GELU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(16 * 36, 9))
        x = torch.randn(8, 3, 8, 8)
        if count:
            with FlopCounter():
                F.cross_entropy(net(x), torch.arange(8)).backward()
        else:
            F.cross_entropy(net(x), torch.arange(8)).backward()
        return [p.grad for p in net.parameters() if p.grad is not None] + [torch.rand(3)]

    assert all(map(torch.equal, gradients(True), gradients(False)))


def test_a_formula_that_fails_gives_no_count_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from lit_gen.callbacks import flop_counter

    def broken(*args: object, **kwargs: object) -> int:
        raise TypeError("a new argument")

    monkeypatch.setitem(flop_counter.flop_registry, torch.ops.aten.addmm, broken)
    with FlopCounter() as counter:
        assert nn.Linear(2, 3)(torch.ones(1, 2)).shape == (1, 3)
    assert not counter.complete


def test_training_counts_its_first_step_and_keeps_it(tmp_path: Path) -> None:
    clock = Throughput()
    train(Counter(), clock, max_steps=3, default_root_dir=tmp_path)
    assert clock.flops_per_example is not None
    again = Throughput()
    again.load_state_dict(clock.state_dict())
    assert again.flops_per_example == clock.flops_per_example


def test_a_sample_is_counted_without_a_trace() -> None:
    torch.manual_seed(0)
    model = MLPRealNVP(shape=(1, 4, 4), num_levels=17).eval()
    with torch.no_grad():
        model.generate(Noise(0, range(5), torch.device("cpu")))
    before = (model.function_evaluations, model.sample_counts(), torch.get_rng_state())
    found = flops_per_sample(model, 1)
    weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    assert found is not None
    assert found == pytest.approx(2 * weights, rel=0.2)
    assert (model.function_evaluations, model.sample_counts()) == before[:2]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert flops_per_sample(model, None) is flops_per_sample(model, 10**6) is None
