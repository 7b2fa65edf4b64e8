"""AdamW against torch's own, and parameter groups under every optimizer."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from lit_gen.optim import AdamW, AdversarialAdamW, Muon, parameter_groups


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.LayerNorm(5))


def groups_of(net: nn.Sequential) -> list[dict[str, Any]]:
    return parameter_groups(net, hidden=[net[1].weight], no_decay=net[2].parameters())


def train(net: nn.Module, optimizer: Optimizer, steps: int = 4, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(6, 3, generator=generator)).square().sum().backward()
        optimizer.step()


def weights(net: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(net.parameters()).detach()


# ------------------------------------------------------------------ AdamW


@pytest.mark.parametrize(
    ("own", "settings"),
    [
        (AdamW, {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}),
        (AdversarialAdamW, {"lr": 2e-4, "betas": (0.5, 0.999), "eps": 1e-8, "weight_decay": 0.0}),
    ],
)
def test_defaults_are_as_documented_and_steps_are_torch_s(own: type[Optimizer], settings: dict[str, Any]) -> None:
    nets = small_net(), small_net()
    optimizer = own(nets[0].parameters())  # type: ignore[call-arg]
    known = torch.optim.AdamW(nets[1].parameters(), fused=True, **settings)
    assert optimizer.defaults == known.defaults
    assert optimizer.defaults["fused"] is True
    train(nets[0], optimizer)
    train(nets[1], known)
    assert torch.equal(weights(nets[0]), weights(nets[1]))


def test_fused_is_no_argument() -> None:
    with pytest.raises(TypeError, match="fused"):
        AdamW(small_net().parameters(), fused=False)  # type: ignore[call-arg]


@pytest.mark.parametrize("settings", [{"lr": -1.0}, {"betas": (1.0, 0.9)}, {"eps": -1.0}, {"weight_decay": -1.0}])
def test_arguments_out_of_range_are_torch_s_error(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        AdamW(small_net().parameters(), **settings)


# ------------------------------------------------------------------ groups


def test_groups_split_by_hidden_and_decay_in_the_order_of_the_parameters() -> None:
    net = small_net()
    names = {id(p): name for name, p in net.named_parameters()}
    found = [
        ([names[id(p)] for p in g["params"]], g["hidden"], g.get("weight_decay", "the user's"))
        for g in parameter_groups(net, hidden=[net[1].weight, net[0].weight], no_decay=net[2].parameters())
    ]
    assert found == [
        (["0.weight", "1.weight"], True, "the user's"),
        (["0.bias", "1.bias"], False, "the user's"),
        (["2.weight", "2.bias"], False, 0.0),
    ]


def test_hidden_weights_may_be_without_decay_too() -> None:
    net = small_net()
    groups = parameter_groups(net, hidden=[net[1].weight], no_decay=[net[1].weight, net[0].bias])
    assert [(len(g["params"]), g["hidden"], g.get("weight_decay")) for g in groups] == [
        (1, True, 0.0),
        (4, False, None),
        (1, False, 0.0),
    ]


def test_empty_groups_are_omitted_and_parameters_may_be_listed() -> None:
    net = small_net()
    listed = list(net.parameters())
    (group,) = parameter_groups(iter(listed))
    assert group == {"params": listed, "hidden": False}


@pytest.mark.parametrize("argument", ["hidden", "no_decay"])
def test_parameters_of_another_module_are_an_error(argument: str) -> None:
    with pytest.raises(ValueError, match="among the parameters"):
        parameter_groups(small_net(), **{argument: [nn.Parameter(torch.ones(2, 2))]})


def test_only_groups_without_decay_override_the_user() -> None:
    optimizer = AdamW(groups_of(small_net()), weight_decay=0.3)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.3, 0.0]


def test_adamw_is_the_same_to_the_bit_with_and_without_hidden_groups() -> None:
    nets = small_net(), small_net()
    train(nets[0], AdamW(groups_of(nets[0]), weight_decay=0.1))
    rest = [*nets[1][0].parameters(), *nets[1][1].parameters()]
    plain: list[dict[str, Any]] = [{"params": rest}, {"params": nets[1][2].parameters(), "weight_decay": 0.0}]
    train(nets[1], torch.optim.AdamW(plain, weight_decay=0.1, fused=True))
    assert torch.equal(weights(nets[0]), weights(nets[1]))


FACTORIES: dict[str, Callable[..., Optimizer]] = {
    "AdamW": AdamW,
    "Muon": Muon,
    "torch.AdamW": torch.optim.AdamW,
    "torch.SGD": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
    "torch.RMSprop": torch.optim.RMSprop,
    "torch.NAdam": torch.optim.NAdam,
    "torch.Adagrad": torch.optim.Adagrad,
    "torch.Adafactor": torch.optim.Adafactor,
}


@pytest.mark.parametrize("name", FACTORIES)
def test_every_optimizer_takes_the_groups_and_goes_on_from_its_saved_state(name: str) -> None:
    factory, net = FACTORIES[name], small_net()
    optimizer = factory(groups_of(net))
    train(net, optimizer)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(net)
    again = factory(groups_of(other))
    again.load_state_dict(torch.load(file, weights_only=True))
    assert [group["hidden"] for group in again.param_groups] == [True, False, False]
    train(net, optimizer, seed=1)
    train(other, again, seed=1)
    assert torch.equal(weights(net), weights(other))
