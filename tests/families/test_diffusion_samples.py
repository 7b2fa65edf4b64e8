"""Samples of diffusion models: evaluations counted, guidance, predictions, latents."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.errors import UserError
from lit_gen.families import DDPM, EDM, VDM, FlowMatching
from lit_gen.families.diffusion import Labels, Sampling
from lit_gen.families.diffusion.samplers import alpha_sigma
from lit_gen.noise import Noise

from . import conformance as laws
from .conformance import adamw
from .diffusions import FAMILIES, LEVELS, SHAPE, stirred


@pytest.mark.parametrize(("sampler", "evaluations"), [("ancestral", 7), ("ddim", 7), ("euler", 7), ("dpmpp_2m", 7),
                                                      ("heun", 13), ("edm_heun", 13)])
@pytest.mark.parametrize("family", FAMILIES)
def test_evaluations_are_counted(family: type, sampler: str, evaluations: int) -> None:
    model = stirred(family, sampling=Sampling(sampler, 7))
    rows: list[int] = []
    model.net.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    model.sample(3)
    # VDM ends at its first latent, whose nearest levels are the sample, so that its last step too has two; and where
    # flow matching starts, at pure noise, sigma / alpha is infinite.
    more = {(VDM, "heun"): 1, (VDM, "edm_heun"): 1, (FlowMatching, "edm_heun"): -1}.get((family, sampler), 0)
    assert sum(rows) == model.function_evaluations == 3 * (evaluations + more)


def test_guidance_moves_from_no_class_through_the_class() -> None:
    model = stirred(FlowMatching, labels=Labels(3))
    z, label, noise = torch.randn(4, *SHAPE), torch.tensor([0, 1, 2, 0]), Noise(0, range(4))

    def x_hat(guidance: float) -> Tensor:
        model.sampling = Sampling("euler", 5, guidance, clip_denoised=False)
        return model._denoiser(label)(z, 0.3).x_hat

    plain = model.denoise(z, torch.full((4,), 0.3), label).x_hat
    without = model.denoise(z, torch.full((4,), 0.3)).x_hat
    assert not torch.allclose(plain, without, atol=1e-3)
    assert torch.allclose(x_hat(1.0), plain, atol=1e-5)
    assert torch.allclose(x_hat(0.0), without, atol=1e-5)
    assert torch.allclose(x_hat(2.5), without + 2.5 * (plain - without), atol=1e-4)
    model.sampling = Sampling("euler", 5, 2.5)
    assert model.sampler_settings()["guidance"] == 2.5
    assert model.generate(noise, label).shape == (4, *SHAPE)


def test_guidance_doubles_the_evaluations_and_needs_classes() -> None:
    model = stirred(DDPM, labels=Labels(3), sampling=Sampling("ddim", 5, 2.0))
    rows: list[int] = []
    model.net.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    model.sample(4, label=1)
    assert sum(rows) == 4 * 10
    with pytest.raises(UserError, match="needs classes"):
        DDPM(SHAPE, LEVELS, sampling=Sampling("ddim", 5, 2.0)).check_sampling(Sampling("ddim", 5, 2.0))
    with pytest.raises(UserError, match="dropout"):
        DDPM(SHAPE, LEVELS, labels=Labels(3, 0.0))
    with pytest.raises(UserError, match="101"):
        DDPM(SHAPE, LEVELS, sampling=Sampling("ddim", 101))


@pytest.mark.parametrize("family", [DDPM, VDM, EDM, FlowMatching])
def test_latents_lead_back_to_their_example(family: type) -> None:
    torch.manual_seed(0)
    model = family(SHAPE, LEVELS, optimizer=adamw(lr=4e-3))
    source = KnownEntropy(SHAPE, LEVELS, splits=SampleSizes(num_train=2_000, num_val=20, num_test=60))
    laws.fit(model, source, 150)
    model.sampling = Sampling("ancestral", 100, clip_denoised=False)
    x = source.split("test").x
    with torch.no_grad():
        z = model.to_latent(x, Noise(0, range(60)))
        found = model.from_latent(z)
    assert 0.6 < float(z.std()) < 1.5
    assert float((found == x).float().mean()) > 0.97
    chance = torch.roll(x, 1, 0)
    assert float((chance == x).float().mean()) < 0.6


def test_clipped_predictions_lie_in_the_datas_range() -> None:
    model = stirred(EDM, sampling=Sampling("edm_heun", 5, clip_denoised=True))
    z = 3 * torch.randn(20, *SHAPE)
    predicted = model._denoiser(None)(z, 1.0)
    alpha, sigma = alpha_sigma(1.0)
    assert predicted.x_hat.abs().max() <= 1
    assert torch.allclose(alpha * predicted.x_hat + sigma * predicted.eps_hat, z, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_are_what_z_is_made_of(family: type) -> None:
    model = stirred(family)
    for level in (-3.0, 0.0, 2.0):
        z = torch.randn(5, *SHAPE)
        predicted = model.denoise(z, torch.full((5,), level))
        alpha, sigma = alpha_sigma(level)
        assert torch.allclose(alpha * predicted.x_hat + sigma * predicted.eps_hat, z, atol=1e-4)


def test_labels_are_hidden_at_the_stated_rate() -> None:
    model = DDPM(SHAPE, LEVELS, labels=Labels(3, 0.25))
    label = model.training_label(torch.ones(20_000, dtype=torch.long))
    assert set(label.tolist()) == {1, 3}
    assert float((label == 3).float().mean()) == pytest.approx(0.25, abs=0.015)
