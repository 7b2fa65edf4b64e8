"""Our samplers and schedules against diffusers' schedulers, and a pipeline of theirs against what is made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPO
from torch import Tensor

from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.convert import __main__ as convert
from lit_gen.families.diffusion import CosineSchedule, LinearBetas
from lit_gen.families.diffusion.prediction import Prediction, clipped, from_eps
from lit_gen.families.diffusion.samplers import SAMPLERS, Denoise
from lit_gen.noise import Noise
from lit_gen.runs.weights import load_weights

diffusers = pytest.importorskip("diffusers", reason="needs pyproject's diffusers extra")

SHAPE = (3, 2, 4, 4)
TIMESTEPS = [999, 900, 801, 640, 500, 333, 250, 120, 60, 21, 4, 0]
EVEN = list(range(999, -1, -111))
SCHEDULES = {"linear": LinearBetas(), "squaredcos_cap_v2": CosineSchedule()}
TOLERANCE = 1e-5


def exact(scheduler: Any) -> Any:
    """The scheduler with its products in float64: in float32 its own rounding is 7e-4 at the noisiest timestep."""
    scheduler.alphas_cumprod = torch.cumprod(1 - scheduler.betas.double(), 0)
    return scheduler


class Network:
    """Some fixed function of z and the timestep that predicts the noise, and so well that the data stay of data's size.

    Of any other, which says the same of pure noise as of clean data, the data come out in the thousands, and nothing
    could be told from rounding.
    """

    def __init__(self, scheduler: Any) -> None:
        self.alpha_bars = scheduler.alphas_cumprod
        self.mixing = torch.randn(32, 32, generator=torch.Generator().manual_seed(3)) / 32**0.5

    def __call__(self, z: Tensor, timestep: int) -> Tensor:
        alpha, sigma = float(self.alpha_bars[timestep].sqrt()), float((1 - self.alpha_bars[timestep]).sqrt())
        some = torch.tanh(z.flatten(1) @ self.mixing + math.cos(timestep / 150)).view_as(z)
        return sigma * z + 1.5 * alpha * some  # the data are alpha z - 1.5 sigma some

    def levels(self, timesteps: list[int]) -> dict[float, int]:
        """Timesteps by their levels."""
        alpha_bars = self.alpha_bars[timesteps]
        return dict(zip(torch.log(alpha_bars / (1 - alpha_bars)).tolist(), timesteps, strict=True))


class Draws:
    """Noise of which both sides are given the same numbers, in their order."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(4)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(SHAPE, generator=self.generator)


def denoiser(network: Network, visited: dict[float, int], clips: bool = False, mix: float = 0.0) -> Denoise:
    """The network as a sampler asks it."""

    def denoise(z: Tensor, log_snr: float) -> Prediction:
        level = torch.full((len(z),), log_snr)
        found = from_eps(z, level, network(z, visited[log_snr]), mix)
        return clipped(z, level, found) if clips else found

    return denoise


def pure_noise() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))


def compare(
    sampler: str, denoise: Denoise, visited: dict[float, int], step: Callable[[Tensor, int], Tensor]
) -> None:
    """After each step, each side from its own state; our sampler is begun anew, for it returns only the last."""
    log_snrs, timesteps = [*visited, math.inf], list(visited.values())
    z = pure_noise()
    for number, timestep in enumerate(timesteps, 1):
        z = step(z, timestep)
        draws: Any = Draws()
        mine = SAMPLERS[sampler](denoise, pure_noise(), log_snrs[: number + 1], draws)
        assert float((mine - z).abs().max()) <= TOLERANCE, f"step {number}"
        assert 0.1 < z.std() < 3, "numbers of no size agree easily"


# ------------------------------------------------------------------ schedules


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_have_the_same_betas(name: str) -> None:
    theirs = diffusers.DDPMScheduler(beta_schedule=name).betas.double()
    alpha_bars = SCHEDULES[name].log_snrs().sigmoid()
    betas = 1 - alpha_bars / torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])
    torch.testing.assert_close(betas, theirs, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_have_the_same_levels(name: str) -> None:
    theirs = diffusers.DDPMScheduler(beta_schedule=name).alphas_cumprod.double()
    torch.testing.assert_close(SCHEDULES[name].log_snrs().sigmoid(), theirs, rtol=1e-4, atol=1e-7)


def test_schedule_takes_its_ends() -> None:
    theirs = diffusers.DDPMScheduler(beta_start=0.001, beta_end=0.01).alphas_cumprod.double()
    torch.testing.assert_close(LinearBetas(1000, 0.001, 0.01).log_snrs().sigmoid(), theirs, rtol=1e-4, atol=0)


# ------------------------------------------------------------------ samplers


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("clips", [True, False])
@pytest.mark.parametrize(("variance", "mix"), [("fixed_small", 0.0), ("fixed_large", 1.0)])
def test_ancestral_is_ddpm(
    variance: str, mix: float, clips: bool, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = exact(
        diffusers.DDPMScheduler(beta_schedule=schedule, variance_type=variance, clip_sample=clips)
    )
    scheduler.set_timesteps(timesteps=TIMESTEPS)
    draws, network = Draws(), Network(scheduler)
    visited = network.levels(TIMESTEPS)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: draws.normal())

    def step(z: Tensor, timestep: int) -> Tensor:
        return scheduler.step(network(z, timestep), timestep, z).prev_sample

    compare("ancestral", denoiser(network, visited, clips, mix), visited, step)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("clips", [True, False])
def test_ddim_is_ddim(clips: bool, schedule: str) -> None:
    """Where data are clipped, the noise that belongs to the clipped data is taken, which diffusers leaves to choose."""
    scheduler = exact(diffusers.DDIMScheduler(beta_schedule=schedule, clip_sample=clips))
    scheduler.set_timesteps(9)  # of 111 each
    network = Network(scheduler)
    visited = network.levels(EVEN)

    def step(z: Tensor, timestep: int) -> Tensor:
        return scheduler.step(network(z, timestep), timestep, z, use_clipped_model_output=clips).prev_sample

    compare("ddim", denoiser(network, visited, clips), visited, step)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_dpmpp_2m_is_dpm_solver_multistep(schedule: str) -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(
        beta_schedule=schedule, algorithm_type="dpmsolver++", solver_order=2, solver_type="midpoint",
        final_sigmas_type="zero",
    )  # fmt: skip
    exact(scheduler).set_timesteps(timesteps=TIMESTEPS)
    network = Network(scheduler)
    visited = network.levels(TIMESTEPS)

    def step(z: Tensor, timestep: int) -> Tensor:
        return scheduler.step(network(z, timestep), timestep, z).prev_sample

    compare("dpmpp_2m", denoiser(network, visited), visited, step)


# ------------------------------------------------------------------ a pipeline


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """Of random weights, for the digits' size."""
    torch.manual_seed(6)
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, freq_shift=1, flip_sin_to_cos=False, downsample_padding=0,
        attention_head_dim=8, block_out_channels=(8, 16), layers_per_block=2, norm_num_groups=4, norm_eps=1e-6,
        down_block_types=("AttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "AttnUpBlock2D"),
    )  # fmt: skip
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler(variance_type="fixed_large"))


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
def test_converted_pipeline_draws_the_same_samples(
    safe: bool, pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their own folder, through the command and ``evaluate``'s way of loading; the same noise, in 20 steps."""
    pipeline.save_pretrained(tmp_path / "model", safe_serialization=safe)
    data = REPO / "configs/data/digits.yaml"
    convert.main([str(tmp_path / "model"), f"--data={data}", f"--out={tmp_path / 'run'}", "--averaged"])
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "pretrained.ckpt")
    run = run_from_checkpoint(checkpoint, ["--model.init_args.sampling.steps=20"])
    load_weights(run, checkpoint, "auto")
    model = run.model.eval()

    noise = Noise(0, range(5))
    theirs = diffusers.DDPMScheduler(variance_type="fixed_large", timestep_spacing="linspace")
    theirs.set_timesteps(20)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: noise.normal(1, 8, 8))
    z = noise.normal(1, 8, 8)
    with torch.no_grad():
        for timestep in theirs.timesteps:
            z = theirs.step(pipeline.unet(z, timestep).sample, timestep, z).prev_sample
        log_snrs = model.log_snr_grid(20).tolist()
        mine = Noise(0, range(5))
        found = SAMPLERS["ancestral"](model._denoiser(None), mine.normal(1, 8, 8), log_snrs, mine)
    assert z.std() > 0.1
    torch.testing.assert_close(found, z, rtol=0, atol=TOLERANCE)
