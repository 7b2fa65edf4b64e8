"""Reads a folder of diffusers: JSON with diffusers' own names, and its defaults for missing values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lit_gen.errors import UserError
from lit_gen.records.schema import decode

INDEX, CONFIG, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")

# These two sample images from a UNet2DModel alone; other pipelines denoise latents, or solve other equations.
_PIPELINES = ("DDPMPipeline", "DDIMPipeline")

# Keys that affect neither the training process nor samples with all of its steps.
_IRRELEVANT = (
    *("timestep_spacing", "steps_offset", "dynamic_thresholding_ratio", "sample_max_value"),
    "tensor_format",  # written by diffusers before 0.3
)


@dataclass(frozen=True, kw_only=True)
class NetSettings:
    """Arguments of diffusers' ``UNet2DModel`` 0.42.1 with its defaults, because files may omit some of them."""

    sample_size: Sequence[int] | None = None
    in_channels: int = 3
    out_channels: int = 3
    center_input_sample: bool = False
    time_embedding_type: str = "positional"
    time_embedding_dim: int | None = None
    freq_shift: float = 0.0
    flip_sin_to_cos: bool = True
    down_block_types: Sequence[str] = ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D")
    mid_block_type: str | None = "UNetMidBlock2D"
    up_block_types: Sequence[str] = ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    block_out_channels: Sequence[int] = (224, 448, 672, 896)
    layers_per_block: int = 2
    mid_block_scale_factor: float = 1.0
    downsample_padding: int = 1
    downsample_type: str = "conv"
    upsample_type: str = "conv"
    dropout: float = 0.0
    act_fn: str = "silu"
    attention_head_dim: int | None = 8
    norm_num_groups: int = 32
    attn_norm_num_groups: int | None = None
    norm_eps: float = 1e-5
    resnet_time_scale_shift: str = "default"
    add_attention: bool = True
    class_embed_type: str | None = None
    num_class_embeds: int | None = None
    num_train_timesteps: int | None = None


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """Arguments of diffusers' ``DDPMScheduler`` 0.42.1 that define the training process, with its defaults."""

    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    trained_betas: Sequence[float] | None = None
    variance_type: str = "fixed_small"
    clip_sample: bool = True
    clip_sample_range: float = 1.0
    prediction_type: str = "epsilon"
    thresholding: bool = False
    rescale_betas_zero_snr: bool = False


Settings = TypeVar("Settings", NetSettings, ProcessSettings)


@dataclass(frozen=True)
class Published:
    """Content of a folder, except for the weights.

    Attributes:
        net: Settings in ``net_file``.
        process: Settings in ``process_file``, or diffusers' defaults without one.
        net_file: The network's JSON file, for messages.
        process_file: The scheduler's JSON file; None if there is none.
        weights: The file of weights.
    """

    net: NetSettings
    process: ProcessSettings
    net_file: Path
    process_file: Path | None
    weights: Path


def read_folder(folder: Path) -> Published:
    """Finds and reads the files of a pipeline's folder, also in the old flat layout, or of a single ``UNet2DModel``.

    Raises:
        UserError: If the folder or a file is missing or damaged, or the model is of another kind.
    """
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder}; give one written by diffusers' save_pretrained, or downloaded from"
            " the hub (hf download ID --local-dir FOLDER)"
        )
    if (index := folder / INDEX).is_file():
        check_class(index, read_json(index), _PIPELINES, "use the folder of a model in pixel space")
    inner = folder / "unet" if (folder / "unet").is_dir() else folder
    net_file = inner / CONFIG
    if not net_file.is_file():
        raise UserError(f"{folder} has no {net_file.relative_to(folder)}; give a pipeline's or a UNet2DModel's folder")
    process_file = next(
        (file for file in (folder / "scheduler" / SCHEDULER, folder / SCHEDULER) if file.is_file()), None
    )
    return Published(
        net=_net_settings(net_file),
        process=_process_settings(process_file) if process_file else ProcessSettings(),
        net_file=net_file,
        process_file=process_file,
        weights=find_weights(inner),
    )


def _net_settings(file: Path) -> NetSettings:
    tree = read_json(file)
    check_class(file, tree, ("UNet2DModel",), "other networks cannot be converted")
    if type(size := tree.get("sample_size")) is int:
        tree["sample_size"] = [size, size]
    return settings(NetSettings, tree, file)


def _process_settings(file: Path) -> ProcessSettings:
    tree = read_json(file)
    fix = "save the pipeline with DDPMScheduler.from_config(pipeline.scheduler.config)"
    check_class(file, tree, ("DDPMScheduler",), fix)
    return settings(ProcessSettings, tree, file)


def find_weights(folder: Path) -> Path:
    """Finds the file of weights, preferring the safer format.

    Raises:
        UserError: If there is none.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder} has no weights; put {' or '.join(WEIGHTS)} there, as a single file")


def read_json(file: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        UserError: If the file cannot be read, or contains something else.
    """
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged ({error}); download it again") from error
    if not isinstance(tree, dict):
        raise UserError(f"{file} is damaged (not a JSON object); download it again")
    return tree


def check_class(file: Path, tree: dict[str, Any], known: Iterable[str], fix: str) -> None:
    """Validates the class that a file names, if it names one.

    Raises:
        UserError: If it names another class.
    """
    name = tree.get("_class_name")
    if name is not None and name not in known:
        raise UserError(f"{file}: _class_name is {json.dumps(name)}, not {' or '.join(known)}; {fix}")


def settings(kind: type[Settings], tree: dict[str, Any], file: Path) -> Settings:
    """Settings in a file, with defaults for missing ones; unknown settings are rejected because they might matter.

    Raises:
        UserError: If a key is unknown, or a value has another type.
    """
    said = {name: value for name, value in tree.items() if not name.startswith("_") and name not in _IRRELEVANT}
    defaults = json.loads(json.dumps(dataclasses.asdict(kind())))  # tuples become lists, as in a file
    try:
        found: Settings = decode(kind, defaults | said, "")
    except ValueError as error:
        raise UserError(f"{file}: {error}; diffusers 0.42.1 does not write this") from error
    return found
