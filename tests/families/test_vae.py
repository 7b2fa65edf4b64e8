"""The variational autoencoder: its bounds against numbers known otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.errors import UserError
from lit_gen.families.vae import VAE, Bernoulli, Categorical, DiscretizedLogistic, Observation
from lit_gen.likelihood import gaussian_log_prob, standard_normal_log_prob
from lit_gen.nets import AutoencoderNets, ConvNets, MLPNets
from lit_gen.noise import Noise
from lit_gen.quantization import to_unit

from . import conformance as laws
from .conformance import adamw


class Linear(AutoencoderNets):
    """One linear layer each way: small enough for quadrature."""

    def encoder(self, shape: Sequence[int], num_outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), num_outputs))

    def decoder(self, num_inputs: int, shape: Sequence[int], num_maps: int) -> nn.Module:
        return nn.Sequential(nn.Linear(num_inputs, num_maps * math.prod(shape)), nn.Unflatten(1, (num_maps, *shape)))


SHAPE = (1, 2, 2)
GRID = torch.linspace(-12, 12, 8_001, dtype=torch.float64)  # z, for the trapezoidal rule


@pytest.fixture
def toy() -> VAE:
    """One latent, four binary pixels; the encoder is somewhere, not at the posterior."""
    torch.manual_seed(0)
    model = VAE(SHAPE, 2, num_latents=1, nets=Linear())
    laws.stir(model, scale=0.4)
    with torch.no_grad():
        # Wider than the posterior, so that importance weights have a variance.
        model.encoder[1].weight.mul_(0.3)
        model.encoder[1].bias.copy_(torch.tensor([0.2, 0.4]))
    return model.eval()


def every_state() -> Tensor:
    return torch.cartesian_prod(*[torch.arange(2)] * 4).reshape(16, *SHAPE).to(torch.uint8)


@torch.no_grad()
def by_quadrature(model: VAE, states: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x) and the evidence lower bound of each state, integrated over a grid of z in float64."""
    z, step = GRID[:, None], float(GRID[1] - GRID[0])
    log_prior = standard_normal_log_prob(z)
    mean, log_var = model.encode(states)
    log_p, elbo = [], []
    for i in range(len(states)):
        log_prob = model.decode_log_prob(states[i].expand(len(GRID), *SHAPE), z.float()).double()
        joint = log_prob + log_prior
        q = gaussian_log_prob(z, mean[i].double(), log_var[i].double())
        log_p.append(torch.logsumexp(joint, 0) + math.log(step))
        elbo.append((q.exp() * (joint - q)).sum() * step)
    return torch.stack(log_p), torch.stack(elbo)


# ------------------------------------------------------------------ bounds


def test_the_bounds_are_what_quadrature_says(toy: VAE) -> None:
    states = every_state()
    log_p, elbo = by_quadrature(toy, states)
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-5)
    gap = log_p - elbo
    assert gap.min() > 0.01, "the toy's encoder is meant to be wrong"

    draws = 4_000
    said = -laws.nll(toy, states, "elbo", draws).nats.double()
    assert torch.allclose(said, elbo, atol=0.06)
    assert float((said - elbo).mean()) == pytest.approx(0, abs=0.02)

    tight = -laws.nll(toy, states, "iwae", 5_000).nats
    assert torch.allclose(tight, log_p, atol=0.05)
    assert float((tight - log_p).mean()) == pytest.approx(0, abs=0.02)


def test_importance_weighted_bounds_tighten_with_their_draws(toy: VAE) -> None:
    n = 3_000
    x = every_state()[5].expand(n, *SHAPE)
    log_p = float(by_quadrature(toy, x[:1])[0])
    bounds = {k: -laws.nll(toy, x, "iwae", k).nats.double() for k in (1, 4, 32)}
    bounds[0] = -laws.nll(toy, x, "elbo", 1, seed=1).nats.double()
    mean = {k: float(b.mean()) for k, b in bounds.items()}
    error = {k: float(b.std()) / math.sqrt(n) for k, b in bounds.items()}
    # One importance weight is the evidence lower bound, with the KL term drawn instead of integrated.
    assert mean[1] == pytest.approx(mean[0], abs=4 * (error[0] + error[1]))
    assert mean[1] + 4 * error[1] < mean[4] - 4 * error[4]
    assert mean[4] + 4 * error[4] < mean[32] - 4 * error[32]
    assert mean[32] <= log_p + 4 * error[32]


def test_importance_weights_are_unbiased(toy: VAE) -> None:
    """E exp(-nats) is p(x) itself, so that over all states it sums to one, with however few draws."""
    states = every_state()
    p = torch.stack([(-laws.nll(toy, states, "iwae", 64, seed).nats).exp().sum() for seed in range(300)])
    assert float(p.mean()) == pytest.approx(1, abs=4 * float(p.std()) / math.sqrt(len(p)))
    assert float(p.std()) / math.sqrt(len(p)) < 0.02


@pytest.mark.parametrize("estimator", ["elbo", "iwae"])
@pytest.mark.parametrize("draws", [1, 3])
def test_a_latent_that_says_nothing_costs_nothing(estimator: str, draws: int) -> None:
    """q is the prior and the decoder does not look at z: both bounds are exact."""
    torch.manual_seed(0)
    model = VAE(SHAPE, 3, num_latents=2, nets=Linear(), observation=Categorical())
    with torch.no_grad():
        for parameter in [*model.encoder.parameters(), model.decoder[0].weight]:
            parameter.zero_()
    logits = model.decoder[0].bias.detach().reshape(3, *SHAPE)
    x = torch.randint(3, (40, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    expected = -logits.log_softmax(0).expand(40, 3, *SHAPE).gather(1, x.long()[:, None]).flatten(1).sum(1)
    assert torch.allclose(laws.nll(model, x, estimator, draws).nats.float(), expected, atol=1e-5)


def test_the_exact_posterior_makes_one_weight_exact() -> None:
    """Where q(z | x) is p(z | x) every importance weight is p(x). A decoder that a sign of z moves little:
    the weights' spread is the gap, and it shrinks with the square of the decoder's slope."""
    spread = []
    for slope in (0.1, 0.01):
        torch.manual_seed(0)
        model = VAE(SHAPE, 2, num_latents=1, nets=Linear())
        with torch.no_grad():
            model.encoder[1].weight.zero_()
            model.encoder[1].bias.zero_()
            model.decoder[0].weight.fill_(slope)
            x = torch.ones(500, *SHAPE, dtype=torch.uint8)
            # First order in the slope, the posterior of z is N(sum_d slope (x_d - p_d), 1).
            p = model.decoder[0].bias.sigmoid()
            model.encoder[1].bias[0] = float((slope * (1 - p)).sum())
        spread.append(float(laws.nll(model, x, "iwae", 1).nats.std()))
    assert spread[1] < 0.02 * spread[0]


# ------------------------------------------------------------------ estimators


def test_draws_in_chunks_are_the_direct_formula(toy: VAE) -> None:
    x, draws = every_state()[:5], 20
    toy._chunk = 7
    said = laws.nll(toy, x, "iwae", draws)
    assert (said.kind, said.estimator) == ("bound", "iwae-20")
    noise = Noise(0, range(5))
    eps = torch.cat([noise.normal(k, 1) for k in (7, 7, 6)], 1)
    with torch.no_grad():
        mean, log_var = toy.encode(x)
        weights = []
        for k in range(draws):
            z = mean + (0.5 * log_var).exp() * eps[:, k]
            joint = toy.decode_log_prob(x, z) + standard_normal_log_prob(z)
            weights.append(joint - gaussian_log_prob(z, mean, log_var))
    expected = torch.logsumexp(torch.stack(weights).double(), 0) - math.log(draws)
    assert torch.allclose(-said.nats, expected, atol=1e-5)


def test_5000_draws_are_decoded_a_chunk_at_a_time() -> None:
    model = VAE((1, 28, 28), 2, num_latents=2, nets=MLPNets(hidden_sizes=(4,)))
    rows: list[int] = []
    model.decoder.register_forward_hook(lambda module, inputs, output: rows.append(output.numel()))
    x = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    assert laws.nll(model, x, "iwae", 5_000).nats.isfinite().all()
    assert sum(rows) == 5_000 * 2 * 784
    assert max(rows) <= 2 * 2**16, "more decoder outputs at once than 65,536 an example"
    assert len(rows) < 100, "chunks too small to be fast"


def test_the_elbo_averages_over_draws_and_its_parts_add_up(toy: VAE) -> None:
    x = every_state()
    several = laws.nll(toy, x, "elbo", 6).nats
    noise = Noise(0, range(16))
    with torch.no_grad():
        one_by_one = torch.stack([toy.nll(x, noise, "elbo").nats for _ in range(6)])
        likelihood = toy.nll(x, Noise(0, range(16)), "elbo", 6)
    assert torch.allclose(several, one_by_one.mean(0), atol=1e-5)
    parts = likelihood.parts
    assert parts is not None
    assert torch.allclose(parts["rate"] + parts["distortion"], likelihood.nats, atol=1e-5)
    assert parts["rate"].min() >= 0


def test_an_unknown_estimator_is_refused_with_the_nearest() -> None:
    model = VAE(SHAPE, 2)
    with pytest.raises(UserError, match=r"estimator 'elbow' \(it has: elbo, iwae\); did you mean 'elbo'\?"):
        model.nll(every_state(), Noise(0, range(16)), "elbow")


# ------------------------------------------------------------------ training


class Outputs(Callback):
    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.steps.append({name: float(value.detach()) for name, value in outputs.items()})


def test_training_minimises_the_bound_that_is_scored() -> None:
    source = KnownEntropy(SHAPE, 2, splits=SampleSizes(num_val=10, num_test=10, num_train=400), batch_size=400)
    torch.manual_seed(0)
    model = VAE(SHAPE, 2, num_latents=1, nets=Linear(), optimizer=adamw(lr=0.0))
    laws.stir(model, scale=0.5)
    outputs = Outputs()
    laws.fit(model, source, 60, outputs)
    x = source.split("train").x
    with torch.no_grad():
        scored = model.nll(x, Noise(0, range(400)), "elbo", 60)
    assert scored.parts is not None
    first = outputs.steps[0]
    assert first["rate"] == pytest.approx(float(scored.parts["rate"].mean()), rel=1e-4)
    assert first["loss"] == pytest.approx(first["rate"] + first["distortion"], rel=1e-5)
    losses = torch.tensor([step["loss"] for step in outputs.steps])
    error = float(losses.std()) / math.sqrt(60)
    assert error > 0, "training draws z anew at each step"
    assert float(losses.mean()) == pytest.approx(float(scored.nats.mean()), abs=6 * error)


def test_warmup_weights_the_rate_by_examples_seen() -> None:
    source = KnownEntropy(SHAPE, 2, splits=SampleSizes(num_val=10, num_test=10, num_train=1_000), batch_size=100)
    torch.manual_seed(0)
    model = VAE(SHAPE, 2, warmup_examples=400)
    laws.stir(model)
    outputs = Outputs()
    laws.fit(model, source, 6, outputs)
    beta = [(step["loss"] - step["distortion"]) / step["rate"] for step in outputs.steps]
    assert beta == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1], rel=1e-3)


@pytest.mark.parametrize(
    ("num_levels", "nets", "observation"),
    [
        (2, MLPNets(), Bernoulli()),
        (3, ConvNets(channels=(8,)), DiscretizedLogistic()),
        (5, ConvNets(channels=(8,), batch_norm=False, activation="silu"), Categorical()),
        (5, MLPNets(dropout=0.1, activation="tanh"), DiscretizedLogistic()),
    ],
)
def test_every_observation_and_net_obeys_the_laws(
    num_levels: int, nets: AutoencoderNets, observation: Observation
) -> None:
    source = KnownEntropy(SHAPE, num_levels, splits=SampleSizes(num_test=2_000, num_val=10), batch_size=100)
    torch.manual_seed(0)
    model = VAE(SHAPE, num_levels, num_latents=2, nets=nets, observation=observation, optimizer=adamw(lr=3e-3))
    gradients = laws.Gradients()
    laws.fit(model, source, 150, gradients)
    assert gradients.not_zero == {name for name, _ in model.named_parameters()}
    for estimator in model.estimators:
        laws.assert_mass_is_lawful(model, source.enumerate(), estimator)
        laws.bits_above_entropy(model, source, estimator, draws=4)


def test_samples_of_a_trained_model_have_its_probabilities() -> None:
    source = KnownEntropy(SHAPE, 2, splits=SampleSizes(num_val=10, num_test=10))
    torch.manual_seed(0)
    model = VAE(SHAPE, 2, num_latents=1, nets=Linear(), optimizer=adamw(lr=1e-2))
    laws.fit(model, source, 100)
    states = every_state()
    p = by_quadrature(model, states)[0].exp()
    n = 10_000
    codes = (model.sample(n, block=1_000).flatten(1).long() * torch.tensor([8, 4, 2, 1])).sum(1)
    counts = torch.bincount(codes, minlength=16).double()
    chi_square = float(((counts - n * p) ** 2 / (n * p)).sum())
    assert chi_square < 15 + 5 * math.sqrt(30)


def test_the_encoder_sees_the_unit_scale() -> None:
    model = VAE(SHAPE, 17, num_latents=1, nets=Linear())
    seen: list[Tensor] = []
    model.encoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    x = torch.tensor([[[[0, 4], [8, 16]]]], dtype=torch.uint8)
    model.encode(x)
    assert torch.equal(seen[0], to_unit(x, 17))
    assert seen[0].flatten().tolist() == [0, 0.25, 0.5, 1]
