"""What cannot be brought in is refused in one line, with nothing written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.convert import __main__ as convert
from lit_gen.nets import UNet

from .folders import (
    DIGITS,
    options,
    refusal,
    theirs,
    write_folder,
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]}, "CrossAttnDownBlock2D"),
        ({"up_block_types": ["UpBlock2D", "UpBlock2D"]}, "each other's reverse"),
        ({"up_block_types": ["UpBlock2D", "AttnUpBlock2D"]}, "each other's reverse"),
        ({"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"]}, "each other's reverse"),
        ({"resnet_time_scale_shift": "scale_shift"}, 'resnet_time_scale_shift is "scale_shift"'),
        ({"freq_shift": 0}, "freq_shift is 0"),
        ({"flip_sin_to_cos": True}, "flip_sin_to_cos is true"),
        ({"center_input_sample": True}, "center_input_sample is true"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type"),
        ({"time_embedding_dim": 64}, "time_embedding_dim is 64"),
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"num_class_embeds": 10}, "num_class_embeds is 10"),
        ({"attention_head_dim": 5}, "head_channels 5"),
        ({"attention_head_dim": 0}, "must be positive"),
        ({"downsample_padding": 1}, "downsample_padding is 1"),
        ({"downsample_type": "resnet"}, "downsample_type"),
        ({"upsample_type": "resnet"}, "upsample_type"),
        ({"act_fn": "relu"}, "act_fn"),
        ({"add_attention": False}, "add_attention is false"),
        ({"mid_block_type": None}, "mid_block_type is null"),
        ({"mid_block_scale_factor": 2}, "mid_block_scale_factor"),
        ({"attn_norm_num_groups": 2}, "attn_norm_num_groups is 2"),
        ({"out_channels": 2}, "out_channels is 2"),
        ({"block_out_channels": [8, 12]}, "multiples of the first resolution's channels"),
        ({"block_out_channels": []}, "must be positive"),
        ({"block_out_channels": 8}, "'block_out_channels' must be a list"),
        ({"norm_num_groups": None}, "'norm_num_groups' must be a whole number"),
        ({"sample_size": None}, "sample_size is null"),
        ({"sampel_size": 8}, "did you mean 'sample_size'"),
        ({"_class_name": "UNet2DConditionModel"}, "UNet2DConditionModel"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_net_that_ours_cannot_be(
    change: dict[str, Any], words: str, net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "model", theirs(net), net=change)
    line = refusal(options(folder, tmp_path / "run"), capsys)
    assert words in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prediction_type": "v_prediction"}, "prediction_type"),
        ({"beta_schedule": "scaled_linear"}, "beta_schedule"),
        ({"trained_betas": [0.1, 0.2]}, "trained_betas is [0.1, 0.2]"),
        ({"variance_type": "learned_range"}, "variance_type"),
        ({"thresholding": True}, "thresholding is true"),
        ({"clip_sample_range": 2.0}, "clip_sample_range is 2.0"),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
        ({"num_train_timesteps": 500}, "num_train_timesteps is 500"),
        ({"beta_start": 0.5, "beta_end": 0.1}, "beta_first=0.5"),
        ({"_class_name": "DDIMScheduler"}, "DDPMScheduler.from_config"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_process_that_ours_cannot_be(
    change: dict[str, Any], words: str, net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "model", theirs(net), process=change)
    assert words in refusal(options(folder, tmp_path / "run"), capsys)
    assert not (tmp_path / "run").exists()


def test_pipeline_of_latents_is_refused(net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "model", theirs(net))
    (folder / "model_index.json").write_text('{"_class_name": "LDMPipeline"}')
    assert "LDMPipeline" in refusal(options(folder, tmp_path / "run"), capsys)


@pytest.mark.parametrize("file", ["unet/config.json", "unet/diffusion_pytorch_model.safetensors"])
def test_missing_file_is_named(file: str, net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "model", theirs(net))
    (folder / file).unlink()
    assert Path(file).name in refusal(options(folder, tmp_path / "run"), capsys)


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [("safetensors", "cut short"), ("bin", "cut short"), ("safetensors", "empty"), ("bin", "code"), ("bin", "numbers")],
)
def test_damaged_weights_are_named(
    suffix: str, damage: str, net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "model", theirs(net), suffix=suffix)
    file = folder / "unet" / f"diffusion_pytorch_model.{suffix}"
    if damage == "code":
        torch.save(_Touches(tmp_path / "ran"), file)
    elif damage == "numbers":
        torch.save({"conv_in.weight": 3.0}, file)
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 if damage == "cut short" else 0])
    assert f"{file} is damaged" in refusal(options(folder, tmp_path / "run"), capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"model"}, "code was executed, or something was written"


class _Touches:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv_out.bias": None}, "lacks conv_out.bias"),
        ({"up_blocks.1.attentions.0.to_q.bias": torch.zeros(8)}, "contains up_blocks.1.attentions.0.to_q.bias"),
        ({"mid_block.attentions.0.to_v.weight": torch.zeros(8, 16)}, "attentions.0.to_q.weight has shape [40, 16]"),
        ({"conv_in.weight": torch.zeros(8, 3, 3, 3)}, "conv_in.weight has shape [8, 3, 3, 3]"),
    ],
    ids=["missing", "left over", "attention", "shape"],
)
def test_weights_of_another_net_are_refused(
    change: dict[str, Tensor | None], words: str, net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = {name: tensor for name, tensor in {**theirs(net), **change}.items() if tensor is not None}
    folder = write_folder(tmp_path / "model", tensors)
    assert words in refusal(options(folder, tmp_path / "run"), capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "change", [{"sample_size": 16}, {"sample_size": [8, 16]}, {"in_channels": 3, "out_channels": 3}]
)
def test_data_of_another_shape_are_refused(
    change: dict[str, Any], net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "model", theirs(net), net=change)
    line = refusal(options(folder, tmp_path / "run"), capsys)
    assert "'digits' has shape (1, 8, 8)" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--model.init_args.nets.init_args.channels=16"], "--model: nets is set by"),
        (["--model.init_args.schedule.init_args.beta_last=0.1"], "--model: schedule is set by"),
        (["--model.init_args.labels.num_classes=10"], "--model: labels is set by"),
        (["--model=VDM"], "--model is set by"),
        (["--model.init_args.sampling.steps=2000"], "steps=2000"),
        (["--data.init_args.batch_size=0"], "batch_size of data set 'digits' is 0"),
        (["--avaraged"], "did you mean 'averaged'"),
    ],
)
def test_options_that_cannot_be(
    more: list[str], words: str, net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "model", theirs(net))
    assert words in refusal(options(folder, tmp_path / "run", *more), capsys)
    assert not (tmp_path / "run").exists()


def test_command_line_is_checked_first(net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, data = str(write_folder(tmp_path / "model", theirs(net))), f"--data={DIGITS}"
    assert "which folder?" in refusal([], capsys)
    assert "there is no folder" in refusal([str(tmp_path / "nothing"), data], capsys)
    assert "which data?" in refusal([folder], capsys)
    assert "there is no file nothing.yaml" in refusal([folder, "--data", "nothing.yaml"], capsys)
    assert "exists already" in refusal([folder, data, f"--out={tmp_path / 'model'}"], capsys)
    (tmp_path / "file").touch()
    assert "cannot create" in refusal([folder, data, f"--out={tmp_path / 'file' / 'run'}"], capsys)
    assert run_command(convert.main, ["--help"]) == 0
    assert "usage: python -m lit_gen.convert" in capsys.readouterr().out


def test_there_is_no_training_to_go_on_from(net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(write_folder(tmp_path / "model", theirs(net)))
    convert.main([folder, f"--data={DIGITS}", f"--out={tmp_path / 'run'}"])
    path = tmp_path / "run" / "checkpoints" / "pretrained.ckpt"
    arguments = [f"--config={tmp_path / 'run' / 'config.yaml'}", f"--ckpt_path={path}"]
    assert run_command(fit.main, [*arguments, f"--trainer.default_root_dir={tmp_path / 'more'}"]) == 2
    assert "contains weights only and cannot be resumed" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()
