"""The laws catch families that cheat: each of these has passed for a result somewhere."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.families.vae import VAE, Categorical, DiscretizedLogistic, Observation
from lit_gen.likelihood import Likelihood
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric

from . import conformance as laws
from .conformance import adamw

SHAPE, LEVELS = (1, 1, 3), 9


class LogisticWithoutBins(DiscretizedLogistic):
    """A density on [-1, 1] that forgot its bins' width: no log-scale term."""

    def log_prob(self, maps: Tensor, x: Tensor, num_levels: int) -> Tensor:
        mean, log_scale = self._parameters(maps)
        centred = (to_symmetric(x, num_levels) - mean) / log_scale.exp()
        return (-centred - log_scale - 2 * torch.nn.functional.softplus(-centred)).flatten(1).sum(1)


class DensityVAE(VAE):
    """Reports the nats of a density on [0, 1): minus D log(levels)."""

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        honest = super().nll(x, noise, estimator, draws)
        nats = honest.nats - math.prod(self.shape) * math.log(self.num_levels)
        return Likelihood(nats, honest.kind, honest.estimator)


class RatelessVAE(VAE):
    """Calls its reconstruction error a likelihood: the KL term is missing."""

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        honest = super().nll(x, noise, "elbo", draws)
        assert honest.parts is not None
        return Likelihood(honest.parts["distortion"], "bound", "elbo")


class MeanOfImportances(VAE):
    """Averages importance weights it has not normalised: log of the sum, not of the mean."""

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        honest = super().nll(x, noise, "iwae", draws)
        return Likelihood(honest.nats - math.log(draws), "bound", honest.estimator)


@pytest.fixture(scope="module")
def source() -> KnownEntropy:
    return KnownEntropy(SHAPE, LEVELS, splits=SampleSizes(num_test=4_000, num_val=200), batch_size=200)


def trained(family: type[VAE], observation: Observation, source: KnownEntropy) -> VAE:
    torch.manual_seed(0)
    model = family(SHAPE, LEVELS, num_latents=4, observation=observation, optimizer=adamw(lr=3e-3))
    laws.fit(model, source, steps=1_000)
    return model


@pytest.fixture(scope="module")
def honest(source: KnownEntropy) -> VAE:
    """The weights that every cheat but the first has: what differs is the report."""
    return trained(VAE, Categorical(), source)


def test_the_honest_families_pass(honest: VAE, source: KnownEntropy) -> None:
    for model in (honest, trained(VAE, DiscretizedLogistic(), source)):
        for estimator in VAE.estimators:
            laws.bits_above_entropy(model, source, estimator, draws=4)
            laws.assert_mass_is_lawful(model, source.enumerate(), estimator)
            laws.assert_uniform_noise_is_dear(model, source.enumerate(), LEVELS, estimator)


def test_a_missing_log_scale_term_is_caught(source: KnownEntropy) -> None:
    model = trained(VAE, LogisticWithoutBins(), source)
    with pytest.raises(AssertionError, match="where the entropy is"):
        laws.bits_above_entropy(model, source)
    with pytest.raises(AssertionError, match="has a mass of"):
        laws.assert_mass_is_lawful(model, source.enumerate(), "elbo")


@pytest.mark.parametrize("cheat", [DensityVAE, RatelessVAE, MeanOfImportances])
def test_other_cheats_are_caught(cheat: type[VAE], honest: VAE, source: KnownEntropy) -> None:
    model = cheat(SHAPE, LEVELS, num_latents=4, observation=Categorical())
    model.load_state_dict(honest.state_dict())
    with pytest.raises(AssertionError, match="where the entropy is"):
        laws.bits_above_entropy(model, source, draws=4)
    with pytest.raises(AssertionError, match="has a mass of"):
        laws.assert_mass_is_lawful(model, source.enumerate(), "elbo")


def test_noise_below_its_price_is_caught(honest: VAE, source: KnownEntropy) -> None:
    model = DensityVAE(SHAPE, LEVELS, num_latents=4, observation=Categorical())
    model.load_state_dict(honest.state_dict())
    # The trained model pays far more for noise; a flat one pays just its price, and the cheat less.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    with pytest.raises(AssertionError, match="uniform noise"):
        laws.assert_uniform_noise_is_dear(model, source.enumerate(), LEVELS, "elbo")


def test_an_exact_label_on_a_bound_is_caught(honest: VAE, source: KnownEntropy) -> None:
    class Mislabelled(VAE):
        def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
            return Likelihood(super().nll(x, noise, "elbo", draws).nats, "exact", "elbo")

    model = Mislabelled(SHAPE, LEVELS, num_latents=4, observation=Categorical())
    model.load_state_dict(honest.state_dict())
    with pytest.raises(AssertionError, match="depends on the noise"):
        laws.assert_mass_is_lawful(model, source.enumerate(), "elbo")
