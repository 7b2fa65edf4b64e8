"""Muon against its definition, against torch's own, and beside AdamW."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.families import GatedPixelCNN, PixelCNN, Transformer, WaveNet
from lit_gen.families.autoregressive import Autoregressive
from lit_gen.optim import Muon
from lit_gen.optim.muon import orthogonal


def muon(hidden: Sequence[nn.Parameter], others: Iterable[dict[str, Any]] = (), **settings: Any) -> Muon:
    return Muon([{"params": list(hidden), "hidden": True}, *others], **settings)


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (2, 16, 16), (1, 1, 5), (1, 5, 1)])
def test_singular_values_become_about_one_and_directions_stay(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64) * 1e-4
    u, s, vt = torch.linalg.svd(x, full_matrices=False)
    x = (u * torch.linspace(0.02, 1, s.shape[1])) @ vt  # a condition of 50
    out = orthogonal(x)
    inside = u.mT @ out @ vt.mT
    assert torch.allclose(inside, torch.diag_embed(inside.diagonal(dim1=1, dim2=2)), atol=1e-12)
    assert inside.diagonal(dim1=1, dim2=2).min() > 0.6
    assert inside.diagonal(dim1=1, dim2=2).max() < 1.25
    assert torch.allclose((u @ (inside @ vt)), out)


def test_small_singular_values_are_lifted_as_the_iteration_s_polynomial_lifts_them() -> None:
    s = torch.logspace(-4, 0, 200, dtype=torch.float64)
    matrices = torch.diag_embed(torch.stack([s, torch.ones_like(s)], 1))  # of norm (1 + s^2)^(1/2)
    lifted, norm = orthogonal(matrices)[:, 0, 0], (1 + s**2).sqrt()
    large = s / norm >= 1 / 600
    assert lifted[large].min() > 0.68
    assert lifted.max() < 1.21
    assert lifted[~large].min() > 0
    assert (lifted / s * norm)[0] == pytest.approx(3.4445**5, rel=0.01), "the slope at zero"


def test_no_gradient_is_no_step() -> None:
    assert torch.equal(orthogonal(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


def steps(build: Callable[[list[nn.Parameter]], list[torch.optim.Optimizer]], count: int = 4) -> list[Tensor]:
    """Matrices after so many steps on gradients of a fixed kind."""
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.randn(size)) for size in ((6, 10), (6, 10), (10, 6), (5, 5))]
    optimizers = build(parameters)
    for _ in range(count):
        for p in parameters:
            p.grad = torch.randn(p.shape)
        for optimizer in optimizers:
            optimizer.step()
    return [p.detach() for p in parameters]


def test_it_is_torchs_muon_whose_arithmetic_is_bfloat16() -> None:
    own = steps(lambda p: [muon(p, lr=0.1, weight_decay=0.2)])
    known = steps(lambda p: [torch.optim.Muon(p, lr=0.1, weight_decay=0.2, adjust_lr_fn="match_rms_adamw")])
    still = steps(lambda p: [])
    for one, other, before in zip(own, known, still, strict=True):
        assert (one - other).norm() < 0.01 * (other - before).norm()


def test_the_others_are_adamws() -> None:
    settings = {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.3}

    def groups(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
        return [{"params": parameters[:-2]}, {"params": parameters[-2:], "weight_decay": 0.0}]

    mixed = steps(lambda p: [muon(p[:1], groups(p[1:]), **settings)])
    alone = steps(lambda p: [torch.optim.AdamW(groups(p), **settings)])  # type: ignore[arg-type]
    assert not torch.allclose(mixed[0], alone[0], atol=1e-2)
    for one, other in zip(mixed[1:], alone[1:], strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_is_the_matrix_of_its_outputs(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 3, 2, 5)
    conv = nn.Parameter(weight.clone(memory_format=memory_format))
    flat = nn.Parameter(weight.flatten(1).clone())
    optimizer = muon([conv, flat], lr=0.1)
    for _ in range(3):
        conv.grad = torch.randn_like(conv)
        flat.grad = conv.grad.flatten(1)
        optimizer.step()
    assert torch.allclose(conv.flatten(1), flat, atol=1e-5)
    assert not torch.allclose(flat, weight.flatten(1), atol=1e-2)


def test_gradients_are_there_after_the_step_and_the_closure_is_asked() -> None:
    p = nn.Parameter(torch.ones(2, 3))
    optimizer = muon([p], lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure).detach()) == 6
    assert p.grad is not None
    assert torch.equal(p.grad, torch.full((2, 3), 2.0))


def test_a_scaler_of_float16_changes_nothing_and_skips_what_overflowed() -> None:
    ends = []
    for scaled in (False, True):
        torch.manual_seed(0)
        a, b = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(3))
        optimizer = muon([a], [{"params": [b]}], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=scaled)
        for i in range(4):
            x = torch.randn(4) * (float("inf") if i == 2 else 1)
            if i == 2 and not scaled:
                continue
            optimizer.zero_grad()
            scaler.scale(((a @ x + b) ** 2).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        ends.append((a.detach(), b.detach()))
    for one, other in zip(*ends, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_hooks_are_called_once_whatever_was_built_before() -> None:
    torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    a, b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    optimizer = muon([a], [{"params": [b]}], lr=0.1)
    a.grad, b.grad = torch.ones(2, 2), torch.ones(2)
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(a.grad is not None))
    optimizer.register_step_post_hook(lambda *_: seen.append(a.grad is not None))
    optimizer.step()
    assert seen == [True, True]


def test_a_group_added_later_is_adamws_unless_it_is_hidden() -> None:
    a, b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = muon([a], lr=0.1)
    c = nn.Parameter(torch.ones(2, 2))
    optimizer.add_param_group({"params": [b]})
    optimizer.add_param_group({"params": [c], "hidden": True})
    a.grad = b.grad = c.grad = torch.eye(2)
    optimizer.step()
    assert torch.allclose(b, 1 - 0.1 * torch.eye(2))
    assert torch.equal(c, a)
    assert not torch.allclose(c, b)
    with pytest.raises(ValueError, match="at least two dimensions"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], "hidden": True})


@pytest.mark.parametrize("kind", ["none", "parameters", "groups"])
def test_without_hidden_parameters_it_is_an_error_of_one_line(kind: str) -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    groups: list[Any] = {"none": [], "parameters": [weight], "groups": [{"params": [weight]}]}[kind]
    with pytest.raises(UserError, match=r"^Muon is for weights between hidden layers, .* use AdamW$"):
        Muon(groups)


@pytest.mark.parametrize("settings", [{"lr": -1.0}, {"betas": (1.0, 0.9)}, {"weight_decay": -1.0}, {"momentum": 1.0}])
def test_arguments_out_of_range_are_torch_s_error(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        muon([nn.Parameter(torch.ones(2, 2))], **settings)


# Sums of squares of the parameters after four steps of the implementation that took hidden weights by an argument.
FIRST = [10.577804503150425, 2.1908803309378726, 0.7150870206315576]


def test_the_weights_are_those_of_the_first_implementation() -> None:
    torch.manual_seed(0)
    a, b, c = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(2))
    others = [{"params": [b], "hidden": False}, {"params": [c], "hidden": False, "weight_decay": 0.0}]
    optimizer = muon([a], others, lr=0.1, weight_decay=0.2)
    for _ in range(4):
        a.grad, b.grad, c.grad = torch.randn(3, 4), torch.randn(3), torch.randn(2)
        optimizer.step()
    found = [float(p.detach().double().square().sum()) for p in (a, b, c)]
    assert found == pytest.approx(FIRST, rel=1e-6)


def test_what_was_saved_goes_on_as_if_nothing_had_happened() -> None:
    torch.manual_seed(0)
    a, b = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(3))
    optimizer = muon([a], [{"params": [b]}], lr=0.1)

    def go(optimizer: Muon, a: nn.Parameter, b: nn.Parameter, seed: int) -> None:
        torch.manual_seed(seed)
        a.grad, b.grad = torch.randn(3, 4), torch.randn(3)
        optimizer.step()

    go(optimizer, a, b, 1)
    c, d = copy.deepcopy(a), copy.deepcopy(b)
    again = muon([c], [{"params": [d]}], lr=0.7)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    go(optimizer, a, b, 2)
    go(again, c, d, 2)
    assert torch.equal(a, c)
    assert torch.equal(b, d)


MODELS: dict[str, tuple[Callable[[], Autoregressive], set[str]]] = {
    "PixelCNN": (lambda: PixelCNN((1, 4, 4), 3, optimizer=Muon), {"net.first.weight", "net.levels.conv.weight"}),
    "GatedPixelCNN": (
        lambda: GatedPixelCNN((1, 4, 4), 3, num_classes=2, level_features=2, optimizer=Muon),
        {
            "features.learned",
            "net.vertical.weight",
            "net.horizontal.weight",
            "net.levels.conv.weight",
            "net.layers.0.classes",
            "net.layers.1.classes",
        },
    ),
    "Transformer": (
        lambda: Transformer((6,), 3, num_blocks=1, positions="learned", num_classes=2, optimizer=Muon),
        {"net.symbols.weight", "net.start.weight", "net.positions", "net.head.weight"},
    ),
    "WaveNet": (
        lambda: WaveNet((6,), 3, num_classes=2, optimizer=Muon),
        {"net.last_symbol.weight", "net.symbol_before.weight", "net.classes.weight", "net.out.weight"},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_muon_has_what_lies_between_the_first_and_the_last_layer(name: str) -> None:
    build, ends = MODELS[name]
    torch.manual_seed(0)
    model = build()
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, Muon)
    hidden, *others = optimizer.param_groups
    of = {id(p): name for name, p in model.named_parameters()}
    names = [of[id(p)] for p in hidden["params"]]
    rest = [of[id(p)] for group in others for p in group["params"]]
    assert sorted(names + rest) == sorted(of.values()), "each parameter once"
    assert {n for n in rest if model.get_parameter(n).ndim > 1} == ends
    assert all(model.get_parameter(n).ndim > 1 for n in names)


def test_a_family_that_names_no_hidden_weights_is_refused() -> None:
    class Shy(PixelCNN):
        def hidden_weights(self) -> list[nn.Parameter]:
            return []

    with pytest.raises(UserError, match="this model names none; use AdamW"):
        Shy((1, 4, 4), 2, optimizer=Muon).configure_optimizers()


def test_colours_stay_causal_under_steps_that_masks_partly_blank() -> None:
    torch.manual_seed(0)
    model = GatedPixelCNN((3, 2, 3), 4, channels=6, level_features=2, optimizer=partial(Muon, lr=3e-3))
    optimizer = model.configure_optimizers()
    x = torch.randint(0, 4, (8, 3, 2, 3))
    before = float(model.log_prob(x).mean().detach())
    for _ in range(20):
        optimizer.zero_grad()
        (-model.log_prob(x).mean()).backward()
        optimizer.step()
    cached, value = model.conditionals(8), None
    with torch.no_grad():
        assert float(model.log_prob(x).mean()) > before + 0.5
        whole = model.logits(x).flatten(2)
        for i, position in enumerate(model.order.tolist()):
            later = x.flatten(1).clone()
            later[:, model.order[i:]] = 3 - later[:, model.order[i:]]
            assert torch.equal(model.logits(later.view_as(x)).flatten(2)[..., position], whole[..., position])
            assert torch.allclose(cached.next(value), whole[..., position], atol=1e-5)
            value = x.flatten(1)[:, position]
