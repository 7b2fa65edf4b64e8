"""Renames tensors of diffusers' ``UNet2DModel`` to lit_gen's names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from lit_gen.errors import UserError

_PLAIN = {
    "enter": "conv_in",
    "time.0": "time_embedding.linear_1",
    "time.2": "time_embedding.linear_2",
    "leave.0": "conv_norm_out",
    "leave.2": "conv_out",
}
_BLOCK = {
    "norm1": "norm1",
    "conv1": "conv1",
    "signal": "time_emb_proj",
    "norm2": "norm2",
    "conv2": "conv2",
    "short_cut": "conv_shortcut",
}
# lit_gen has a single product for queries, keys and values.
_ATTENTION = {"norm": ("group_norm",), "qkv": ("to_q", "to_k", "to_v"), "out": ("to_out.0",)}
# Names of diffusers' first versions, which the published DDPMs still use.
_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def read_weights(file: Path) -> dict[str, Tensor]:
    """Reads a file's tensors in float32, with the new names of attention; nothing in the file is executed.

    Raises:
        UserError: If the file is damaged, or contains something else.
    """
    try:
        if file.suffix == ".safetensors":
            tensors = safetensors.torch.load_file(file)
        else:
            tensors = torch.load(file, map_location="cpu", weights_only=True)
        return {_new_name(name): tensor.float() for name, tensor in tensors.items()}
    except Exception as error:  # damaged and foreign files raise exceptions of many types
        raise UserError(f"{file} is damaged or contains no weights; download it again") from error


def _new_name(name: str) -> str:
    old = re.fullmatch(r"(.*\battentions\.\d+)\.(\w+)\.(weight|bias)", name)
    return f"{old[1]}.{_OLD[old[2]]}.{old[3]}" if old and old[2] in _OLD else name


def translated(
    tensors: Mapping[str, Tensor], net: nn.Module, attends: Sequence[bool], num_res_blocks: int, where: Path
) -> dict[str, Tensor]:
    """Converts diffusers' tensors into the state of lit_gen's U-Net; each tensor is used once.

    Args:
        tensors: Tensors by diffusers' names.
        net: lit_gen's U-Net, with the required names and shapes.
        attends: Whether each resolution has attention, the finest first.
        num_res_blocks: Number of residual blocks per resolution.
        where: The file, for messages.

    Raises:
        UserError: If a tensor is missing, left over, or has another shape.
    """
    left = dict(tensors)
    modules = dict(correspondence(attends, num_res_blocks))
    state = {}
    for name, wanted in net.state_dict().items():
        module, kind = name.rsplit(".", 1)
        parts = [f"{theirs}.{kind}" for theirs in modules[module]]
        for part in parts:
            if part not in left:
                raise UserError(f"{where} lacks {part} of the network in its config.json; download both again")
        # Copies, because tensors that share a file's memory would be saved with all of it.
        found = torch.cat([left.pop(part) for part in parts])
        if found.shape != wanted.shape:
            raise UserError(
                f"{where}: {parts[0]} has shape {list(found.shape)}, but the network in its config.json"
                f" has {list(wanted.shape)}; download both again"
            )
        state[name] = found
    if left:
        raise UserError(f"{where} contains {min(left)}, which the network in its config.json lacks; download both")
    return state


def correspondence(attends: Sequence[bool], num_res_blocks: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields each module of lit_gen that may have weights, with the modules of diffusers that it is made of."""
    for ours, theirs in _PLAIN.items():
        yield ours, (theirs,)
    yield from _block("middle.0", "mid_block.resnets.0")
    yield from _attention("middle.1", "mid_block.attentions.0")
    yield from _block("middle.2", "mid_block.resnets.1")
    last = len(attends) - 1
    stage = 0
    for level, attending in enumerate(attends):
        for i in range(num_res_blocks):
            yield from _stage(f"down.{stage}", f"down_blocks.{level}", i, attending)
            stage += 1
        if level < last:  # a stage of its own, because its output has a skip connection
            yield f"down.{stage}.0.conv", (f"down_blocks.{level}.downsamplers.0.conv",)
            stage += 1
    stage = 0
    for level, attending in enumerate(reversed(attends)):
        for i in range(num_res_blocks + 1):
            yield from _stage(f"up.{stage}", f"up_blocks.{level}", i, attending)
            if level < last and i == num_res_blocks:
                yield f"up.{stage}.{1 + attending}.conv", (f"up_blocks.{level}.upsamplers.0.conv",)
            stage += 1


def _stage(ours: str, theirs: str, i: int, attending: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from _block(f"{ours}.0", f"{theirs}.resnets.{i}")
    if attending:
        yield from _attention(f"{ours}.1", f"{theirs}.attentions.{i}")


def _block(ours: str, theirs: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for part, their_part in _BLOCK.items():
        yield f"{ours}.{part}", (f"{theirs}.{their_part}",)


def _attention(ours: str, theirs: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for part, their_parts in _ATTENTION.items():
        yield f"{ours}.{part}", tuple(f"{theirs}.{their_part}" for their_part in their_parts)
