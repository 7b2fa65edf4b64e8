"""A published folder, written by hand in diffusers' layout, becomes a run whose weights stand where they should."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import yaml
from commands import the_record
from conftest import REPO
from torch import Tensor

from lit_gen import evaluate, fit
from lit_gen.convert import __main__ as convert
from lit_gen.data import Digits
from lit_gen.families import DDPM
from lit_gen.families.diffusion import LinearBetas, Sampling
from lit_gen.leaderboard import __main__ as leaderboard
from lit_gen.nets import UNet, UNetNets
from lit_gen.noise import Noise
from lit_gen.process import run_command
from lit_gen.sample import __main__ as sample

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


@pytest.fixture(scope="module")
def net() -> UNet:
    """A net of ours without a zero in it."""
    torch.manual_seed(0)
    net = UNet((1, 8, 8), 1, 1, 8, (1, 2), 1, attention=[4], num_groups=4, eps=1e-6)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net


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


# ------------------------------------------------------------------ the weights


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
        "dropout": 0.1, "num_groups": 4, "eps": 1e-6,
    }  # fmt: skip
    assert arguments["schedule"] == {
        "class_path": "lit_gen.families.diffusion.LinearBetas",
        "init_args": {"num_timesteps": 1000, "beta_first": 0.0002, "beta_last": 0.03},
    }
    assert (arguments["variance_mix"], arguments["num_classes"]) == (mix, 0)
    assert arguments["sampling"] == {"sampler": "ancestral", "steps": STEPS, "guidance": 1.0, "clip_denoised": clips}


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


# ------------------------------------------------------------------ the run


def by_hand(net: UNet) -> float:
    """Bits a dimension of the test digits, without the commands."""
    nets = UNetNets(8, (1, 2), 1, [4], num_groups=4, eps=1e-6)
    model = DDPM((1, 8, 8), 17, nets, LinearBetas(), variance_mix=1.0, sampling=Sampling("ancestral", STEPS))
    model.net.load_state_dict(net.state_dict())
    x = Digits().split("test").x
    with torch.no_grad():
        found = model.eval().nll(x, Noise(0, range(len(x))))
    return float(found.nats.double().mean()) / (64 * math.log(2))


@pytest.mark.parametrize("averaged", [False, True])
def test_it_is_scored_like_any_other(
    averaged: bool, net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = converted(write_folder(tmp_path / "model", theirs(net)), *["--averaged"] * averaged)
    evaluate.main([str(run / "checkpoints" / "pretrained.ckpt"), "--scoring.num_samples=40", "--grid.num_samples=4"])
    record = the_record(run)
    assert (record.family, record.model, record.data) == ("diffusion", "DDPM", "digits")
    bpd = next(score for score in record.scores if score.name == "bpd")
    assert bpd.value == pytest.approx(by_hand(net), rel=1e-5)
    assert {score.name for score in record.scores} == {"bpd", "nll", "fd_mnist_cnn", "is_mnist_cnn"}
    for score in record.scores:
        assert score.protocol.weights == ("ema" if averaged else "raw")
        assert score.protocol.ema_halflife_images is None
    cost, selection = record.cost, record.selection
    assert cost.parameters == sum(parameter.numel() for parameter in net.parameters())
    assert (cost.images_seen, cost.train_seconds, cost.peak_memory_bytes, cost.images_per_second) == (None,) * 4
    assert (selection.rule, selection.checkpoint, selection.step) == ("published weights", "pretrained.ckpt", 0)
    assert (selection.metric, record.git_commit) == (None, None)
    capsys.readouterr()
    leaderboard.main([str(run), "--html", str(tmp_path / "page.html")])
    rows = capsys.readouterr().out.splitlines()
    row, heads = next(r for r in rows if r.startswith("diffusion")), next(r for r in rows if r.startswith("family"))
    for column in ("images", "train time"):
        end = heads.index(column) + len(column)
        assert row[:end].endswith("n/a"), column


def test_copied_checkpoint_is_scored_too(net: UNet, tmp_path: Path) -> None:
    run = converted(write_folder(tmp_path / "model", theirs(net)), "--averaged")
    alone = tmp_path / "elsewhere" / "mine.ckpt"
    alone.parent.mkdir()
    (run / "checkpoints" / "pretrained.ckpt").rename(alone)
    evaluate.main([str(alone), "--quality.extractor=null", "--grid.num_samples=0"])
    record = the_record(alone.parent)
    assert record.scores[0].value == pytest.approx(by_hand(net), rel=1e-5)
    assert (record.cost.images_seen, record.cost.train_seconds) == (None, None)


def test_raw_weights_that_were_never_published_have_no_score(
    net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = converted(write_folder(tmp_path / "model", theirs(net)), "--averaged")
    path = run / "checkpoints" / "pretrained.ckpt"
    assert "not finite" in refusal([str(path), "--scoring.weights=raw"], capsys, evaluate.main)
    assert not (run / "record.json").exists()
    # They take no place: the file is about as large as its weights.
    weights = sum(4 * parameter.numel() for parameter in net.parameters())
    assert path.stat().st_size < 1.6 * weights


def test_samples_are_drawn_of_it(net: UNet, tmp_path: Path) -> None:
    run = converted(write_folder(tmp_path / "model", theirs(net)))
    sample.main([str(run / "checkpoints" / "pretrained.ckpt"), "--n", "4", f"--out={tmp_path / 'four.png'}"])
    assert (tmp_path / "four.png").stat().st_size > 0


def test_run_s_folder_is_a_new_one_below_the_root(net: UNet, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", theirs(net))
    for _ in range(2):
        convert.main([str(folder), f"--data={DIGITS}", f"--trainer.default_root_dir={tmp_path / 'runs'}"])
    runs = sorted((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    for run in runs:
        assert run.name.startswith("ddpm-digits-")
        notes = json.loads((run / "training.json").read_text())
        assert notes["published"]["weights"] == "diffusion_pytorch_model.safetensors"
        assert len(notes["published"]["sha256"]) == 64


# ------------------------------------------------------------------ what is refused


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
        ({"block_out_channels": [8, 12]}, "multiples of the first's channels"),
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
        ({"up_blocks.1.attentions.0.to_q.bias": torch.zeros(8)}, "holds up_blocks.1.attentions.0.to_q.bias"),
        ({"mid_block.attentions.0.to_v.weight": torch.zeros(8, 16)}, "attentions.0.to_q.weight makes [40, 16]"),
        ({"conv_in.weight": torch.zeros(8, 3, 3, 3)}, "conv_in.weight makes [8, 3, 3, 3]"),
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
        (["--model.init_args.nets.init_args.channels=16"], "--model: nets is what"),
        (["--model.init_args.schedule.init_args.beta_last=0.1"], "--model: schedule is what"),
        (["--model.init_args.num_classes=10"], "--model: num_classes is what"),
        (["--model=VDM"], "--model is what"),
        (["--model.init_args.sampling.steps=2000"], "steps=2000"),
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
    assert "is there already" in refusal([folder, data, f"--out={tmp_path / 'model'}"], capsys)
    (tmp_path / "file").touch()
    assert "cannot make" in refusal([folder, data, f"--out={tmp_path / 'file' / 'run'}"], capsys)
    assert run_command(convert.main, ["--help"]) == 0
    assert "usage: python -m lit_gen.convert" in capsys.readouterr().out


def test_there_is_no_training_to_go_on_from(net: UNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(write_folder(tmp_path / "model", theirs(net)))
    convert.main([folder, f"--data={DIGITS}", f"--out={tmp_path / 'run'}"])
    path = tmp_path / "run" / "checkpoints" / "pretrained.ckpt"
    arguments = [f"--config={tmp_path / 'run' / 'config.yaml'}", f"--ckpt_path={path}"]
    assert run_command(fit.main, [*arguments, f"--trainer.default_root_dir={tmp_path / 'more'}"]) == 2
    assert "holds weights alone, and no training to go on from" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()
