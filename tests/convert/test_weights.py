"""A published folder's weights, and the process it was made for, stand where they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from lit_gen.convert import __main__ as convert
from lit_gen.nets import UNet

from .folders import (
    COUNT,
    DIGITS,
    NET,
    NEW,
    OLD,
    STEPS,
    content,
    converted,
    theirs,
    write_folder,
)


def test_the_keys_are_diffusers_own(net: UNet) -> None:
    """The literal lists above, held to the library where it is."""
    assert len(theirs(net)) == COUNT
    diffusers = pytest.importorskip("diffusers", reason="needs pyproject's diffusers extra")
    peer = diffusers.UNet2DModel(**{name: value for name, value in NET.items() if not name.startswith("_")})
    assert {n: t.shape for n, t in peer.state_dict().items()} == {n: t.shape for n, t in theirs(net).items()}


@pytest.mark.parametrize("layout", ["pipeline", "flat", "lone"])
@pytest.mark.parametrize(("suffix", "attention"), [("safetensors", NEW), ("bin", OLD)])
def test_each_weight_stands_at_its_place(
    layout: str, suffix: str, attention: tuple[str, ...], net: UNet, tmp_path: Path
) -> None:
    run = converted(write_folder(tmp_path / "model", theirs(net, attention), layout, suffix))
    state = content(run)["state_dict"]
    assert state.keys() == {f"net.{name}" for name in net.state_dict()}
    for name, tensor in net.state_dict().items():
        assert torch.equal(state[f"net.{name}"], tensor), name


def test_half_precision_becomes_single(net: UNet, tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in theirs(net).items()}
    state = content(converted(write_folder(tmp_path / "model", halves)))["state_dict"]
    for name, tensor in net.state_dict().items():
        assert torch.equal(state[f"net.{name}"], tensor.half().float()), name


@pytest.mark.parametrize(
    ("variance", "mix", "clips"),
    [("fixed_large", 1.0, True), ("fixed_small", 0.0, False), ("fixed_small_log", 0.0, True)],
)
def test_the_model_is_the_folder_s(variance: str, mix: float, clips: bool, net: UNet, tmp_path: Path) -> None:
    process = {"variance_type": variance, "clip_sample": clips, "beta_start": 0.0002, "beta_end": 0.03}
    run = converted(write_folder(tmp_path / "model", theirs(net), process=process, net={"dropout": 0.1}))
    text = (run / "config.yaml").read_text()
    assert content(run)["lit_gen_config"] == text
    model = yaml.safe_load(text)["model"]
    assert model["class_path"] == "lit_gen.families.DDPM"
    arguments = model["init_args"]
    assert arguments["nets"]["init_args"] == {
        "channels": 8, "multipliers": [1, 2], "num_res_blocks": 1, "attention": [4], "head_channels": 0,
        "dropout": 0.1, "num_groups": 4, "eps": 1e-6, "gradient_checkpointing": False,
    }  # fmt: skip
    assert arguments["schedule"] == {
        "class_path": "lit_gen.families.diffusion.LinearBetas",
        "init_args": {"num_timesteps": 1000, "beta_first": 0.0002, "beta_last": 0.03},
    }
    assert (arguments["variance_mix"], arguments["labels"]["num_classes"]) == (mix, 0)
    sampling = {"sampler": "ancestral", "steps": STEPS, "guidance": 1.0, "clip_denoised": clips}
    assert sampling.items() <= arguments["sampling"].items()


def test_samples_take_all_steps_where_nothing_is_said(net: UNet, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", theirs(net), process={"beta_schedule": "squaredcos_cap_v2"})
    convert.main([str(folder), f"--data={DIGITS}", f"--out={tmp_path / 'run'}"])
    arguments = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["init_args"]
    assert arguments["sampling"]["steps"] == 1000
    assert arguments["schedule"] == {
        "class_path": "lit_gen.families.diffusion.CosineSchedule",
        "init_args": {"num_timesteps": 1000, "offset": 0.008, "beta_max": 0.999},
    }


def test_without_a_scheduler_the_defaults_are_told(
    net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "model", theirs(net), "lone")
    (folder / "scheduler_config.json").unlink()
    arguments = yaml.safe_load((converted(folder) / "config.yaml").read_text())["model"]["init_args"]
    assert arguments["variance_mix"] == 0.0
    assert arguments["schedule"]["init_args"] == {"num_timesteps": 1000, "beta_first": 0.0001, "beta_last": 0.02}
    assert "no scheduler_config.json" in capsys.readouterr().out
