"""The U-Nets: the papers' sizes, what they start from, and what depends on what."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import REPO
from torch import nn

from lit_gen.errors import UserError
from lit_gen.nets import ADMNets, DenoisingNets, ImprovedNets, MLPDenoiser, UNetNets
from lit_gen.nets.diffusion.unet_blocks import Attention, Upsample, sinusoids

KINDS = [UNetNets, ImprovedNets, ADMNets]


def stirred(net: nn.Module) -> nn.Module:
    """Away from its zeros."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def parameters(net: nn.Module) -> float:
    """Millions."""
    return sum(p.numel() for p in net.parameters()) / 1e6


def test_cifar_sizes_are_the_published_ones() -> None:
    """35.7 million (Ho et al. 2020, appendix B) and 52 (the code of Nichol, Dhariwal 2021, for three blocks)."""
    for name, maps, published in (("ddpm", 3, 35.7), ("improved_ddpm", 6, 52.5)):
        config = yaml.safe_load((REPO / f"configs/families/diffusion/{name}.yaml").read_text())["model"]["init_args"]
        kind = {"UNetNets": UNetNets, "ImprovedNets": ImprovedNets}[config["nets"]["class_path"].rsplit(".", 1)[-1]]
        net = kind(**config["nets"]["init_args"]).build((3, 32, 32), 3, maps, 0)
        assert parameters(net) == pytest.approx(published, abs=0.06)


def test_256_pixels_are_the_published_size() -> None:
    """114 million (Ho et al. 2020, appendix B), and ADM's 554 (Dhariwal, Nichol 2021, table 4)."""
    sides = (1, 1, 2, 2, 4, 4)
    with torch.device("meta"):
        assert parameters(UNetNets(128, sides, 2, (16,), num_groups=32).build((3, 256, 256), 3, 3, 0)) == pytest.approx(
            113.7, abs=0.05
        )


@pytest.mark.slow
def test_adm_at_256_pixels_is_the_published_size() -> None:
    adm = ADMNets(256, (1, 1, 2, 2, 4, 4), 2, (32, 16, 8), 64, num_groups=32)
    assert parameters(adm.build((3, 256, 256), 3, 6, 1000)) == pytest.approx(554, abs=0.5)


@pytest.mark.parametrize("kind", [*KINDS, MLPDenoiser])
def test_a_fresh_net_says_nothing_and_a_stirred_one_is_told_time_and_class(kind: type[DenoisingNets]) -> None:
    net = kind().build((1, 4, 4), 2, 3, 5)
    x = torch.randn(6, 2, 4, 4)
    time, label = torch.linspace(0, 900, 6), torch.arange(6) % 5
    assert not net(x, time, label).any()
    net = stirred(net)
    y = net(x, time, label)
    assert y.shape == (6, 3, 4, 4)
    assert not torch.allclose(net(x, time + 50, label), y, atol=1e-3)
    assert not torch.allclose(net(x, time, (label + 1) % 5), y, atol=1e-3)
    assert torch.equal(net(x, time), net(x, time, torch.full((6,), 5))), "no label is the last one"
    assert torch.allclose(net(x[2:3], time[2:3], label[2:3]), y[2:3], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_attention_and_levels_let_far_pixels_meet(kind: type[UNetNets]) -> None:
    """Group norms let all pixels meet; taken out, convolutions alone reach only so far."""

    def reach(net: nn.Module) -> torch.Tensor:
        for module in net.modules():
            if isinstance(module, nn.GroupNorm):
                module.forward = lambda x: x  # type: ignore[method-assign]
        x = torch.randn(1, 1, 16, 16, requires_grad=True)
        stirred(net)(x, torch.tensor([3.0]))[0, 0, 0, 0].backward()
        return (x.grad[0, 0] != 0).nonzero().max(0).values + 1

    options: dict[str, Any] = {"channels": 8, "num_res_blocks": 1, "num_groups": 4}
    # In, two blocks of two convolutions, the middle's two, out; its attention is switched off.
    plain = kind(multipliers=(1,), **options).build((1, 16, 16), 1, 1, 0)
    plain.middle[1] = nn.Identity()
    plain.middle[1].forward = lambda x, signal: x  # type: ignore[method-assign]
    assert reach(plain).tolist() == [13, 13]
    attending = kind(multipliers=(1,), attention=(16,), **options).build((1, 16, 16), 1, 1, 0)
    assert reach(attending).tolist() == [16, 16]


def test_upsampling_is_a_convolution_of_the_enlarged_maps() -> None:
    torch.manual_seed(0)
    layer = Upsample(6).double()
    x = torch.randn(2, 6, 5, 3, dtype=torch.float64, requires_grad=True)
    found = layer(x, torch.zeros(2, 1))
    truth = layer.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    assert torch.allclose(found, truth, atol=1e-12)
    weights = torch.randn_like(truth)
    inputs = (x, layer.conv.weight, layer.conv.bias)
    for a, b in zip(
        torch.autograd.grad((found * weights).sum(), inputs), torch.autograd.grad((truth * weights).sum(), inputs),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-11)


def test_attention_is_over_all_positions_in_each_precision() -> None:
    torch.manual_seed(0)
    layer = stirred(Attention(8, 4, 2, 1e-5))
    x = torch.randn(2, 8, 3, 3)
    positions = layer.norm(x).flatten(2).transpose(1, 2)
    q, k, v = layer.qkv(positions).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
    seen = ((q @ k.transpose(2, 3)) / 2.0).softmax(3) @ v
    truth = x + layer.out(seen.transpose(1, 2).flatten(2)).transpose(1, 2).unflatten(2, (3, 3))
    assert torch.allclose(layer(x, torch.zeros(2, 1)), truth, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(layer(x, torch.zeros(2, 1)).float(), truth, atol=0.05)


def test_sinusoids_reach_from_one_to_a_ten_thousandth() -> None:
    found = sinusoids(torch.tensor([0.0, 2.0]), 8)
    angles = 2.0 * 10_000.0 ** (-torch.arange(4) / 3)
    assert torch.allclose(found[1], torch.cat([angles.sin(), angles.cos()]), atol=1e-6)
    assert found[0].tolist() == [0] * 4 + [1] * 4


def test_heads_are_asked_of_levels_that_attend_alone() -> None:
    net = UNetNets(16, (1, 4), head_channels=32, attention=(4,)).build((1, 8, 8), 1, 1, 0)
    assert net(torch.zeros(1, 1, 8, 8), torch.zeros(1)).shape == (1, 1, 8, 8)


@pytest.mark.parametrize(
    ("options", "shape", "words"),
    [
        ({"multipliers": (1, 2, 2)}, (1, 10, 10), "halve the sides 2 times, and 10x10 cannot"),
        ({"multipliers": (1, 3), "num_groups": 5}, (1, 8, 8), "multiple of num_groups 5"),
        ({"head_channels": 24}, (1, 8, 8), "64 channels with attention must be a multiple of head_channels 24"),
        ({"head_channels": 64, "attention": (8,)}, (1, 8, 8), "32 channels with attention"),
        ({"multipliers": ()}, (1, 8, 8), "multipliers not empty"),
        ({}, (16,), "takes images"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        UNetNets(**options).build(shape, 1, 1, 0)
