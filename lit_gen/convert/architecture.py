"""Converts diffusers' configuration of a model into arguments of lit_gen's; rejects what is not supported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_gen.convert.published import SCHEDULER, NetSettings, ProcessSettings, Published
from lit_gen.errors import UserError

# Settings of lit_gen's U-Net in diffusers' terms.
_NET: Mapping[str, tuple[Any, ...]] = {
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "freq_shift": (1.0,),  # the last frequency is included
    "flip_sin_to_cos": (False,),
    "mid_block_type": ("UNetMidBlock2D",),
    "mid_block_scale_factor": (1.0,),
    "downsample_padding": (0,),  # one row and one column, on one side each
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "act_fn": ("silu", "swish"),
    "resnet_time_scale_shift": ("default",),
    "add_attention": (True,),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
}
# Settings of lit_gen's DDPM. The network's time input is the timestep in thousandths, so there are 1,000 timesteps.
_PROCESS: Mapping[str, tuple[Any, ...]] = {
    "num_train_timesteps": (1000,),
    "beta_schedule": ("linear", "squaredcos_cap_v2"),
    "trained_betas": (None,),
    "variance_type": ("fixed_small", "fixed_small_log", "fixed_large"),
    "clip_sample_range": (1.0,),
    "prediction_type": ("epsilon",),
    "thresholding": (False,),
    "rescale_betas_zero_snr": (False,),
}
_ATTENDS = {"DownBlock2D": False, "AttnDownBlock2D": True, "UpBlock2D": False, "AttnUpBlock2D": True}


def shape_of(published: Published) -> tuple[int, int, int]:
    """Shape ``(C, H, W)`` of the network's images.

    Raises:
        UserError: If the file does not specify it.
    """
    size = published.net.sample_size
    if size is None or len(size) != 2:
        raise UserError(
            f"{published.net_file}: sample_size is {json.dumps(size)}; write the side of the images there, such as 32"
        )
    return published.net.in_channels, size[0], size[1]


def model_config(published: Published) -> dict[str, Any]:
    """The ``model`` section of a configuration: :class:`~lit_gen.families.DDPM` with the same network and process.

    Raises:
        UserError: If the network or the process is not supported.
    """
    check_process(published.process, published.process_file or Path(SCHEDULER))
    return {
        "class_path": "lit_gen.families.DDPM",
        "init_args": {
            "nets": {"class_path": "lit_gen.nets.UNetNets", "init_args": _net_arguments(published)},
            "schedule": _schedule(published.process),
            # fixed_small_log equals fixed_small, computed differently.
            "variance_mix": 1.0 if published.process.variance_type == "fixed_large" else 0.0,
            "labels": {"num_classes": 0},
            "sampling": {
                "sampler": "ancestral",
                "steps": published.process.num_train_timesteps,
                "clip_denoised": published.process.clip_sample,
            },
        },
    }


def _net_arguments(published: Published) -> dict[str, Any]:
    net, file = published.net, published.net_file
    check_net(net, file)
    _, height, _ = shape_of(published)
    first = net.block_out_channels[0]
    return {
        "channels": first,
        "multipliers": [width // first for width in net.block_out_channels],
        "num_res_blocks": net.layers_per_block,
        "attention": [height >> level for level, attends in enumerate(attended(net, file)) if attends],
        "head_channels": net.attention_head_dim or 0,
        "dropout": net.dropout,
        "num_groups": net.norm_num_groups,
        "eps": net.norm_eps,
    }


def _schedule(process: ProcessSettings) -> dict[str, Any]:
    steps = {"num_timesteps": process.num_train_timesteps}
    if process.beta_schedule == "linear":
        arguments = {**steps, "beta_first": process.beta_start, "beta_last": process.beta_end}
        return {"class_path": "lit_gen.families.diffusion.LinearBetas", "init_args": arguments}
    # diffusers hard-codes the paper's constants, and ignores beta_start and beta_end.
    arguments = {**steps, "offset": 0.008, "beta_max": 0.999}
    return {"class_path": "lit_gen.families.diffusion.CosineSchedule", "init_args": arguments}


# ------------------------------------------------------------------ validation


def check_process(process: ProcessSettings, file: Path) -> None:
    """Validates that the process is that of lit_gen's DDPM.

    Raises:
        UserError: If a setting is not supported.
    """
    for name, allowed in _PROCESS.items():
        _check(file, name, getattr(process, name), allowed, "DDPM")


def check_net(net: NetSettings, file: Path) -> None:
    """Validates that the network is supported by lit_gen's U-Net.

    Raises:
        UserError: If a setting is not supported.
    """
    widths = net.block_out_channels
    if not widths or min(*widths, net.layers_per_block) < 1 or net.attention_head_dim == 0:
        raise UserError(f"{file}: block_out_channels, layers_per_block and attention_head_dim must be positive")
    for name, allowed in _NET.items():
        _check(file, name, getattr(net, name), allowed, "U-Net")
    _check(file, "time_embedding_dim", net.time_embedding_dim, (None, 4 * widths[0]), "U-Net")
    _check(file, "attn_norm_num_groups", net.attn_norm_num_groups, (None, net.norm_num_groups), "U-Net")
    _check(file, "out_channels", net.out_channels, (net.in_channels,), "DDPM")  # more would be learned variances
    if any(width % widths[0] for width in widths):
        raise UserError(
            f"{file}: block_out_channels is {json.dumps(widths)}, but lit_gen's U-Net requires multiples of the"
            " first resolution's channels; such a model cannot be converted"
        )


def attended(net: NetSettings, file: Path) -> tuple[bool, ...]:
    """Whether each resolution has attention, the finest first.

    Raises:
        UserError: If blocks are of another kind, too few or too many, or differ between the downward and upward path.
    """
    ways = {"down_block_types": net.down_block_types, "up_block_types": tuple(reversed(net.up_block_types))}
    found = []
    for name, types in ways.items():
        prefix = name.split("_", 1)[0].capitalize()
        for block in types:
            _check(file, name, block.removeprefix("UNetRes"), (f"{prefix}Block2D", f"Attn{prefix}Block2D"), "U-Net")
        found.append(tuple(_ATTENDS[block.removeprefix("UNetRes")] for block in types))
    if len(found[0]) != len(net.block_out_channels) or found[0] != found[1]:
        raise UserError(
            f"{file}: down_block_types {json.dumps(net.down_block_types)} and up_block_types"
            f" {json.dumps(net.up_block_types)} are not each other's reverse with a block for each of"
            " block_out_channels, as lit_gen's U-Net requires; such a model cannot be converted"
        )
    return found[0]


def _check(file: Path, name: str, value: Any, allowed: tuple[Any, ...], what: str) -> None:
    if value not in allowed:
        names = " or ".join(json.dumps(option) for option in dict.fromkeys(allowed))
        raise UserError(
            f"{file}: {name} is {json.dumps(value)}, but lit_gen's {what} has {names}; such a model cannot be converted"
        )
