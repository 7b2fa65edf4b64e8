"""Noise schedules either give finite numbers or are refused when the model is built."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.families import DDPM, EDM, VDM
from lit_gen.families.diffusion import CosineSchedule, EvenLevels, KarrasGrid, LinearBetas, Sampling
from lit_gen.families.diffusion.learned_schedule import LinearGamma
from lit_gen.families.diffusion.samplers import SAMPLERS
from lit_gen.families.diffusion.schedules import NoiseSchedule
from lit_gen.noise import Noise

from . import conformance as laws
from .diffusions import LEVELS, SHAPE, levels


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (LinearBetas(100_000), "LinearBetas with 100000 timesteps leaves no signal from timestep 27831 on"),
        (LinearBetas(1_000, 1e-4, 0.999), "leaves no signal from timestep 373 on"),
        (LinearBetas(1_000, 1e-300, 1e-300), "adds no noise at timestep 1"),
        (CosineSchedule(1_000, 1e300), "not finite"),
        (CosineSchedule(2, beta_max=1e-300), "adds no noise at timestep 1"),
        (EvenLevels(90.0), "adds no noise at timestep 1"),
        (EvenLevels(13.0, -90.0, 100), "leaves no signal from timestep 91 on"),
        (EvenLevels(13.0, 13.0 - 1e-6, 100), "equal noise levels"),
    ],
)
def test_a_schedule_that_float32_does_not_hold_is_refused(schedule: NoiseSchedule, words: str) -> None:
    """The schedule with 100,000 timesteps divided by zero in the first score."""
    with pytest.raises(UserError, match=words) as caught:
        DDPM(SHAPE, LEVELS, schedule=schedule)
    assert "\n" not in str(caught.value)


def test_the_first_timestep_without_signal_is_the_one_named() -> None:
    """Counted from 1; with one timestep less the schedule is accepted."""
    betas = torch.linspace(1e-4, 0.02, 100_000, dtype=torch.float64)
    log_alpha_bars = torch.log1p(-betas).cumsum(0)
    assert log_alpha_bars[27830 - 1] > -80 > log_alpha_bars[27831 - 1]
    with pytest.raises(UserError, match="timestep 3 on"):
        DDPM(SHAPE, LEVELS, schedule=EvenLevels(0.0, -90.0, 3))
    DDPM(SHAPE, LEVELS, schedule=EvenLevels(0.0, -80.0, 3))


@pytest.mark.parametrize("schedule", [
    LinearBetas(2), LinearBetas(7_900), LinearBetas(1_000, 1e-17, 0.02), CosineSchedule(2), CosineSchedule(1_000_000),
    CosineSchedule(1_000, 1e-300), CosineSchedule(1_000, 0.008, 1 - 1e-16), EvenLevels(80.0, -80.0, 50),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:schedule")
def test_an_accepted_schedule_gives_finite_numbers(schedule: NoiseSchedule) -> None:
    torch.manual_seed(0)
    model = DDPM(SHAPE, LEVELS, schedule=schedule, sampling=Sampling("ancestral", min(schedule.num_timesteps, 20)))
    laws.stir(model, scale=0.02)
    model.eval()
    x = levels(8)
    for estimator in model.estimators:
        assert model.nll(x, Noise(0, range(8)), estimator, 3).nats.isfinite().all()
    grid = model.log_snr_grid(model.sampling.num_steps).tolist()
    for name, sampler in SAMPLERS.items():
        with torch.no_grad():
            z = sampler(model._denoiser(None), torch.randn(8, *SHAPE), grid, Noise(0, range(8)))
        assert z.isfinite().all(), name
    loss = model.training_step((x, None, torch.arange(8)), 0)
    assert isinstance(loss, torch.Tensor)
    assert loss.isfinite()


@pytest.mark.parametrize("build", [
    lambda: KarrasGrid(1e-18), lambda: KarrasGrid(sigma_max=1e18), lambda: LinearGamma(-81.0, 5.0),
    lambda: LinearGamma(-7.0, 81.0), lambda: LinearGamma(-math.inf, 5.0), lambda: VDM(SHAPE, LEVELS, gamma_max=1e3),
])  # fmt: skip
def test_ends_that_float32_does_not_hold_are_refused(build: Any) -> None:
    with pytest.raises(UserError, match="at which float32 holds no"):
        build()


@pytest.mark.parametrize("option", [{"p_std": math.inf}, {"sigma_data": math.nan}, {"p_mean": math.nan}])
def test_an_edm_without_finite_noise_levels_is_refused(option: dict[str, float]) -> None:
    with pytest.raises(UserError, match="EDM: p_std="):
        EDM(SHAPE, LEVELS, **option)
