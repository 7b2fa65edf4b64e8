"""Our U-Net against diffusers' UNet2DModel: the same weights, the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lit_gen.convert.architecture import attended, model_config
from lit_gen.convert.published import NetSettings, ProcessSettings, Published
from lit_gen.convert.state_dict import translated
from lit_gen.nets import UNet, UNetNets

diffusers = pytest.importorskip("diffusers", reason="needs pyproject's diffusers extra")

# What diffusers' net is to be for ours to be the same; its defaults are others.
OURS: dict[str, Any] = {"freq_shift": 1, "flip_sin_to_cos": False, "downsample_padding": 0, "attention_head_dim": None}
SETTINGS: dict[str, dict[str, Any]] = {
    "one level": {"sample_size": [8, 8], "block_out_channels": [16], "attends": [False], "layers_per_block": 1},
    "no attention": {"sample_size": [8, 8], "block_out_channels": [8, 16], "attends": [False, False]},
    "grey, three levels": {
        "sample_size": [16, 16], "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 24, 40],
        "attends": [False, True, False], "layers_per_block": 1,
    },
    "attention everywhere": {
        "sample_size": [12, 8], "block_out_channels": [16, 16, 32], "attends": [True, True, True], "norm_eps": 1e-3,
    },
    "heads": {
        "sample_size": [8, 8], "block_out_channels": [16, 48], "attends": [True, True], "attention_head_dim": 8,
        "norm_eps": 1e-6, "layers_per_block": 3,
    },
    "ddpm-cifar10-32, narrower": {
        "sample_size": [32, 32], "block_out_channels": [16, 32, 32, 32], "attends": [False, True, False, False],
        "norm_eps": 1e-6, "norm_num_groups": 8,
    },
}  # fmt: skip


def settings(attends: list[bool], **more: Any) -> dict[str, Any]:
    """The arguments of diffusers' net with attention on these levels."""
    down = ["AttnDownBlock2D" if there else "DownBlock2D" for there in attends]
    up = ["AttnUpBlock2D" if there else "UpBlock2D" for there in reversed(attends)]
    return {**OURS, "norm_num_groups": 4, "down_block_types": down, "up_block_types": up, **more}


def randomized(net: nn.Module) -> nn.Module:
    """No tensor is what it was at the start: zeros, and norms that do nothing, would hide what is left out."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in net.named_parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 25
        values = torch.randn(parameter.shape, generator=generator) / fan_in**0.5
        parameter.data = values + 1 if "norm" in name and name.endswith("weight") else values
    return net.eval()


def pair(case: dict[str, Any]) -> tuple[nn.Module, UNet]:
    """Diffusers' net, and ours as the converter makes it."""
    arguments = settings(**case)
    theirs = randomized(diffusers.UNet2DModel(**arguments))
    file = Path("config.json")
    published = Published(NetSettings(**arguments), ProcessSettings(), file, None, file)
    nets = model_config(published)["init_args"]["nets"]["init_args"]
    channels = published.net.in_channels
    shape = (channels, *case["sample_size"])
    ours = UNetNets(**nets).build(shape, channels, channels, 0)
    attends = attended(published.net, file)
    ours.load_state_dict(translated(theirs.state_dict(), ours, attends, published.net.layers_per_block, file))
    assert isinstance(ours, UNet)
    return theirs, ours.eval()


@torch.no_grad()
def outputs(case: dict[str, Any], timestep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    theirs, ours = pair(case)
    x = torch.randn(4, case.get("in_channels", 3), *case["sample_size"], generator=torch.Generator().manual_seed(2))
    return theirs(x, timestep).sample, ours(x, timestep.float())


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("timestep", [[0, 1, 500, 999], [0.25, 3.5, 400.125, 998.875]], ids=["whole", "between"])
def test_same_weights_same_numbers(name: str, timestep: list[float]) -> None:
    expected, found = outputs(SETTINGS[name], torch.tensor(timestep))
    assert expected.std() > 0.1, "numbers of no size agree easily"
    assert (expected[0] - expected[3]).abs().max() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["grey, three levels", "heads"])
def test_same_weights_same_gradients(name: str) -> None:
    """So that training goes the same way too."""
    theirs, ours = pair(SETTINGS[name])
    x = torch.randn(2, SETTINGS[name].get("in_channels", 3), *SETTINGS[name]["sample_size"])
    timestep = torch.tensor([3, 700])
    theirs(x, timestep).sample.square().mean().backward()
    ours(x, timestep.float()).square().mean().backward()
    gradients = {n: p.grad for n, p in theirs.named_parameters()}
    attends, layers = tuple(SETTINGS[name]["attends"]), SETTINGS[name].get("layers_per_block", 2)
    expected = translated(gradients, ours, attends, layers, Path())
    for parameter_name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[parameter_name], rtol=1e-4, atol=1e-5)
