"""Gradient checkpointing: the same gradients to the bit, from less memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import lit_gen.nets.recomputed
from lit_gen.nets import ADMNets, CausalTransformer, ImprovedNets, UNetNets


def unet(kind: type[UNetNets], dropout: float, recompute: bool) -> nn.Module:
    nets = kind(16, (1, 2), 2, (4,), dropout=dropout, gradient_checkpointing=recompute)
    return nets.build((1, 8, 8), 1, 1, 3)


def transformer(positions: Any, dropout: float, recompute: bool) -> nn.Module:
    return CausalTransformer(17, 64, 32, 3, 2, positions, dropout, 3, gradient_checkpointing=recompute)


NETS: dict[str, Callable[[float, bool], nn.Module]] = {
    "ddpm": lambda *options: unet(UNetNets, *options),
    "improved": lambda *options: unet(ImprovedNets, *options),
    "adm": lambda *options: unet(ADMNets, *options),
    "learned positions": lambda *options: transformer("learned", *options),
    "rotary positions": lambda *options: transformer("rotary", *options),
}


def inputs(name: str, batch_size: int = 4) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    label = torch.arange(batch_size) % 3
    if name.endswith("positions"):
        return torch.randint(17, (batch_size, 64), generator=generator), label
    return torch.randn(batch_size, 1, 8, 8, generator=generator), torch.rand(batch_size, generator=generator), label


def built(name: str, dropout: float, recompute: bool) -> nn.Module:
    torch.manual_seed(0)
    net = NETS[name](dropout, recompute)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return net


def gradients(name: str, dropout: float, recompute: bool, precision: torch.dtype | None = None) -> list[Tensor]:
    """The output, the gradients, and a number drawn after them."""
    net = built(name, dropout, recompute)
    torch.manual_seed(2)
    with torch.autocast("cpu", precision, enabled=precision is not None):
        out = net(*inputs(name))
    out.float().square().sum().backward()
    found = [p.grad for p in net.parameters()]
    assert all(g is not None for g in found)
    return [out.detach(), *found, torch.rand(3)]  # type: ignore[list-item]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_gradients_are_equal_to_the_bit(name: str, dropout: float, precision: torch.dtype | None) -> None:
    stored, again = (gradients(name, dropout, recompute, precision) for recompute in (False, True))
    for a, b in zip(stored, again, strict=True):
        assert torch.equal(a, b)


def test_masks_would_differ_without_the_generators_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the test above."""
    monkeypatch.setattr(torch.utils.checkpoint, "set_device_states", lambda *_, **__: None)
    monkeypatch.setattr(torch, "set_rng_state", lambda _: None)
    stored, again = (gradients("ddpm", 0.3, recompute) for recompute in (False, True))
    assert any(not torch.equal(a, b) for a, b in zip(stored[1:-1], again[1:-1], strict=True))


def held_bytes(name: str, recompute: bool) -> int:
    """Memory that is allocated in a forward pass of 16 examples and held for the backward pass."""
    net, batch = built(name, 0.1, recompute), inputs(name, 16)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        out = net(*batch)
    assert out.requires_grad
    return int(sum(event.self_cpu_memory_usage for event in measured.key_averages()))


@pytest.mark.parametrize(("name", "share"), [("ddpm", 0.2), ("adm", 0.2), ("learned positions", 0.2)])
def test_a_fraction_of_the_activations_is_held(name: str, share: float) -> None:
    assert 0 < held_bytes(name, True) < share * held_bytes(name, False)


@pytest.mark.parametrize("name", ["ddpm", "learned positions"])
def test_evaluation_is_not_affected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The likelihood by an ODE differentiates a network in eval mode, whose activations stay."""
    net = built(name, 0.3, True).eval()
    monkeypatch.setattr(lit_gen.nets.recomputed, "checkpoint", None)
    assert torch.equal(net(*inputs(name)), built(name, 0.3, False).eval()(*inputs(name)))
    with pytest.raises(TypeError):
        net.train()(*inputs(name))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("name", ["ddpm", "adm", "learned positions"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_compiled_gradients_are_those_of_stored_activations(name: str, dropout: float) -> None:
    """One graph recomputes inside itself, with the same dropout masks."""
    found = []
    for recompute in (False, True):
        torch._dynamo.reset()
        net = built(name, dropout, recompute)
        if recompute:
            net.compile(backend="aot_eager", dynamic=False)
        torch.manual_seed(2)
        net(*inputs(name)).square().sum().backward()
        found.append([p.grad for p in net.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
