"""Folders written by hand in diffusers' layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import REPO
from torch import Tensor

from lit_gen.cli.process import run_command
from lit_gen.convert import __main__ as convert
from lit_gen.nets import UNet

DIGITS = REPO / "configs/data/digits.yaml"
STEPS = 4  # of the samples, so that they take no time

# The keys of diffusers' UNet2DModel with two levels, a block a level, attention on the second: and ours.
PLAIN = {
    "conv_in": "enter",
    "time_embedding.linear_1": "time.0",
    "time_embedding.linear_2": "time.2",
    "down_blocks.0.downsamplers.0.conv": "down.1.0.conv",
    "up_blocks.0.upsamplers.0.conv": "up.1.2.conv",
    "conv_norm_out": "leave.0",
    "conv_out": "leave.2",
}
BLOCKS = {
    "down_blocks.0.resnets.0": "down.0.0",
    "down_blocks.1.resnets.0": "down.2.0",
    "mid_block.resnets.0": "middle.0",
    "mid_block.resnets.1": "middle.2",
    "up_blocks.0.resnets.0": "up.0.0",
    "up_blocks.0.resnets.1": "up.1.0",
    "up_blocks.1.resnets.0": "up.2.0",
    "up_blocks.1.resnets.1": "up.3.0",
}
BLOCK = {
    "norm1": "norm1",
    "conv1": "conv1",
    "time_emb_proj": "signal",
    "norm2": "norm2",
    "conv2": "conv2",
    "conv_shortcut": "short_cut",
}
WITHOUT_SHORT_CUT = ("down_blocks.0.resnets.0", "mid_block.resnets.0", "mid_block.resnets.1")
ATTENTIONS = {
    "down_blocks.1.attentions.0": "down.2.1",
    "mid_block.attentions.0": "middle.1",
    "up_blocks.0.attentions.0": "up.0.1",
    "up_blocks.0.attentions.1": "up.1.1",
}
NEW, OLD = ("to_q", "to_k", "to_v", "to_out.0"), ("query", "key", "value", "proj_attn")
COUNT = 144

NET: dict[str, Any] = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.0.4",
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [8, 16],
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 1,
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-06,
    "norm_num_groups": 4,
    "out_channels": 1,
    "sample_size": 8,
    "time_embedding_type": "positional",
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
}
PROCESS: dict[str, Any] = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.1.1",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "trained_betas": None,
    "variance_type": "fixed_large",
}
INDEX = {"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"]}


def theirs(net: UNet, attention: tuple[str, ...] = NEW) -> dict[str, Tensor]:
    """The net's weights under diffusers' keys."""
    state, found = net.state_dict(), {}
    for kind in ("weight", "bias"):
        for place, ours in PLAIN.items():
            found[f"{place}.{kind}"] = state[f"{ours}.{kind}"]
        for place, ours in BLOCKS.items():
            for part, our_part in BLOCK.items():
                if part != "conv_shortcut" or place not in WITHOUT_SHORT_CUT:
                    found[f"{place}.{part}.{kind}"] = state[f"{ours}.{our_part}.{kind}"]
        for place, ours in ATTENTIONS.items():
            found[f"{place}.group_norm.{kind}"] = state[f"{ours}.norm.{kind}"]
            *three, out = attention
            for part, tensor in zip(three, state[f"{ours}.qkv.{kind}"].chunk(3), strict=True):
                found[f"{place}.{part}.{kind}"] = tensor.clone()
            found[f"{place}.{out}.{kind}"] = state[f"{ours}.out.{kind}"]
    return found


def write_folder(
    folder: Path,
    tensors: dict[str, Tensor],
    layout: str = "pipeline",
    suffix: str = "safetensors",
    net: dict[str, Any] | None = None,
    process: dict[str, Any] | None = None,
) -> Path:
    """A folder as diffusers writes it (``pipeline``), as its first versions did (``flat``), or a lone net's."""
    inner, beside = (folder / "unet", folder / "scheduler") if layout == "pipeline" else (folder, folder)
    for made in (inner, beside):
        made.mkdir(parents=True, exist_ok=True)
    if layout != "lone":
        (folder / "model_index.json").write_text(json.dumps(INDEX))
    (inner / "config.json").write_text(json.dumps(NET | (net or {})))
    (beside / "scheduler_config.json").write_text(json.dumps(PROCESS | (process or {})))
    weights = inner / f"diffusion_pytorch_model.{suffix}"
    if suffix == "bin":
        torch.save(tensors, weights)
    else:
        safetensors.torch.save_file(tensors, weights)
    return folder


def options(folder: Path, out: Path, *more: str) -> list[str]:
    return [str(folder), f"--data={DIGITS}", f"--out={out}", f"--model.init_args.sampling.steps={STEPS}", *more]


def converted(folder: Path, *more: str) -> Path:
    """The run's folder that the command makes of a folder."""
    out = folder.parent / "run"
    convert.main(options(folder, out, *more))
    return out


def content(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run / "checkpoints" / "pretrained.ckpt", weights_only=True)
    return found


def refusal(
    args: list[str], capsys: pytest.CaptureFixture[str], command: Callable[[list[str]], None] = convert.main
) -> str:
    """The one line in which the command refuses."""
    assert run_command(command, args) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, error
    return lines[0]
