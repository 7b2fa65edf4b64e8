"""Every family that a config names, under the laws that all families obey."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.data import KnownEntropy
from lit_gen.families.diffusion import Diffusion
from lit_gen.families.gan import GAN, Hinge
from lit_gen.noise import Noise

from . import conformance as laws


class HingeGAN(GAN):
    """Another objective is an argument, under the same laws."""

    def __init__(self, shape: tuple[int, ...], num_levels: int) -> None:
        super().__init__(shape, num_levels, objective=Hinge())


FAMILIES = [*laws.enrolled(), HingeGAN]


class Case(NamedTuple):
    family: type[GenerativeModule]
    model: GenerativeModule
    source: KnownEntropy


def name_of(family: type[GenerativeModule]) -> str:
    return family.__name__


@pytest.fixture(params=FAMILIES, ids=name_of)
def fresh(request: pytest.FixtureRequest) -> Case:
    """A family as its constructor leaves it."""
    return Case(request.param, *laws.tiny_source(request.param))


@pytest.fixture(params=FAMILIES, ids=name_of)
def stirred(request: pytest.FixtureRequest) -> Case:
    """The same with every parameter moved at random, away from the mild start."""
    case = Case(request.param, *laws.tiny_source(request.param))
    laws.stir(case.model)
    return case


@pytest.fixture(scope="module", params=[f for f in FAMILIES if f.estimators], ids=name_of)
def trained(request: pytest.FixtureRequest) -> Case:
    """A family with a likelihood, a little trained on a source of known entropy; not to be changed."""
    model, source = laws.tiny_source(request.param)
    laws.fit(model, source, steps=400)
    return Case(request.param, model, source)


def test_the_configs_enrol_both_kinds_of_family() -> None:
    assert len(FAMILIES) >= 2
    assert all(issubclass(family, GenerativeModule) for family in FAMILIES)
    assert any(family.estimators for family in FAMILIES)
    assert any(not family.estimators for family in FAMILIES)


# ------------------------------------------------------------------ samples


def test_samples_are_levels_of_the_right_shape(stirred: Case) -> None:
    samples = stirred.model.sample(40)
    assert samples.dtype == torch.uint8
    assert samples.shape == (40, *stirred.source.shape)
    assert samples.max() < stirred.source.num_levels
    assert len(samples.unique()) > 1, "one level only"
    assert len(samples.unique(dim=0)) > 1, "all samples are alike"


def test_a_sample_depends_on_its_seed_and_number_alone(stirred: Case) -> None:
    model = stirred.model
    whole = model.sample(40)
    for block in (1, 7, 40):
        assert torch.equal(model.sample(40, block=block), whole)
    assert torch.equal(model.sample(11, first=29), whole[29:])
    assert torch.equal(model.sample(5, first=6, block=4), whole[6:11])
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    model.eval()
    with torch.no_grad():
        assert torch.equal(model.generate(Noise(0, order)), whole[order])
    assert not torch.equal(model.sample(40, seed=1), whole)


def test_a_run_in_bfloat16_trains_scores_and_samples(stirred: Case) -> None:
    """As fit does, with ``--trainer.precision=bf16-mixed``: also the samples are drawn within autocast."""
    model, source = stirred.model, stirred.source
    before = [p.detach().clone() for p in model.parameters()]
    laws.fit(model, source, 2, precision="bf16-mixed")
    assert any(not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert all(p.isfinite().all() and p.dtype == torch.float32 for p in model.parameters())
    x = source.split("val").x
    with torch.autocast("cpu", torch.bfloat16):
        assert model.sample(20).unique(dim=0).shape[0] > 1
        low = [laws.nll(model, x, estimator).nats for estimator in model.estimators]
    for nats, estimator in zip(low, model.estimators, strict=True):
        assert nats.dtype in (torch.float32, torch.float64)
        assert nats.mean() == pytest.approx(float(laws.nll(model, x, estimator).nats.mean()), rel=0.1)


def test_function_evaluations_are_counted(stirred: Case) -> None:
    """As many for each sample, whatever the batch."""
    model = stirred.model
    model.sample(6)
    once = model.function_evaluations
    assert once > 0
    assert once % 6 == 0
    model.sample(6, block=2)
    assert model.function_evaluations == 2 * once


def test_sampling_and_scoring_leave_everything_as_it_was(fresh: Case) -> None:
    model, x = fresh.model, fresh.source.split("val").x
    state = {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    generator = torch.get_rng_state()
    model.train()
    model.sample(20)
    assert model.training
    model.eval()
    with torch.no_grad():
        for estimator in [None, *model.estimators]:
            model.nll(x, Noise(0, range(len(x))), estimator, 2)
    assert not model.training
    assert torch.equal(torch.get_rng_state(), generator), "torch's global generator was moved"
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            assert torch.equal(value, state[name]), f"{name} was changed"


# ------------------------------------------------------------------ likelihood


def test_no_likelihood_is_none_and_a_likelihood_is_labelled(fresh: Case) -> None:
    x = fresh.source.split("val").x
    noise = Noise(0, range(len(x)))
    if not fresh.family.estimators:
        assert fresh.model.nll(x, noise) is None
        return
    for estimator in fresh.family.estimators:
        likelihood = fresh.model.nll(x, noise, estimator, 2)
        assert likelihood.kind in ("exact", "bound", "estimate")
        assert likelihood.estimator.startswith(estimator)
        assert likelihood.nats.shape == (len(x),)
    default = fresh.model.nll(x, noise)
    assert default.estimator.startswith(fresh.family.estimators[0])


def test_every_state_has_a_finite_cost(trained: Case) -> None:
    states = trained.source.enumerate()
    for estimator in trained.family.estimators:
        assert laws.nll(trained.model, states, estimator, draws=2).nats.isfinite().all()


def test_the_cost_of_an_example_does_not_depend_on_its_batch(trained: Case) -> None:
    x = trained.source.split("test").x[:60]
    for estimator in trained.family.estimators:
        whole = laws.nll(trained.model, x, estimator, draws=5).nats
        with torch.no_grad():
            alone = [trained.model.nll(x[i : i + 1], Noise(0, [i]), estimator, 5).nats for i in range(0, 60, 7)]
        assert torch.allclose(torch.cat(alone), whole[::7], rtol=1e-5, atol=1e-5)


def test_mass_of_a_stirred_model(stirred: Case) -> None:
    if not stirred.family.estimators:
        pytest.skip("has no likelihood")
    for estimator in stirred.family.estimators:
        laws.assert_mass_is_lawful(stirred.model, stirred.source.enumerate(), estimator)


def test_mass_of_a_trained_model(trained: Case) -> None:
    for estimator in trained.family.estimators:
        laws.assert_mass_is_lawful(trained.model, trained.source.enumerate(), estimator)


def test_uniform_noise_costs_at_least_log2_levels(trained: Case) -> None:
    states = trained.source.enumerate()
    for estimator in trained.family.estimators:
        laws.assert_uniform_noise_is_dear(trained.model, states, trained.source.num_levels, estimator)


def test_a_trained_model_scores_just_above_the_entropy(trained: Case) -> None:
    for estimator in trained.family.estimators:
        kind = laws.nll(trained.model, trained.source.split("test").x[:2], estimator).kind
        draws = 1 if kind == "estimate" else 5  # an estimate's draw is the solution of an equation
        excess = laws.bits_above_entropy(trained.model, trained.source, estimator, draws)
        # The bounds of the diffusion models fall slowly on data of three levels.
        limit = 0.8 if isinstance(trained.model, Diffusion) else 0.3
        assert excess < limit, f"{estimator} is {excess:.3f} bits/dim above the entropy after 400 steps"


# ------------------------------------------------------------------ training


class Losses(Callback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        # A batch that updates only some of the networks has no loss of the model.
        if not isinstance(outputs, dict) or "loss" in outputs:
            self.values.append(float(outputs["loss"] if isinstance(outputs, dict) else outputs))


def test_every_parameter_gets_a_gradient(fresh: Case) -> None:
    names = {name for name, parameter in fresh.model.named_parameters() if parameter.requires_grad}
    first = laws.Gradients()
    laws.fit(fresh.model, fresh.source, 1, first)
    assert first.reached == names, f"no gradient in one step: {sorted(names - first.reached)}"
    assert not first.not_finite
    # A weight behind one that starts at zero has to wait for it.
    few = laws.Gradients()
    laws.fit(fresh.model, fresh.source, 3, few)
    assert few.not_zero | first.not_zero == names, f"zero for 4 steps: {sorted(names - few.not_zero)}"


def test_steps_of_the_trainer_are_update_periods(fresh: Case) -> None:
    """One step of ``global_step`` takes as many batches as the model says, one for most."""
    losses = Losses()
    trainer = laws.fit(fresh.model, fresh.source, 4, losses)
    assert trainer.global_step == 4
    assert trainer.fit_loop.epoch_loop.total_batch_idx + 1 == 4 * fresh.model.update_period
    assert len(losses.values) == 4
    assert all(abs(loss) < 1e6 for loss in losses.values)


def test_a_few_steps_on_one_batch_lower_the_cost(fresh: Case) -> None:
    if not fresh.family.estimators:
        pytest.skip("a minimax objective has no loss that falls")
    batch = fresh.source.split("train").x[: fresh.source.batch_size]
    before = laws.nll(fresh.model, batch, draws=64).nats.mean()
    laws.fit(fresh.model, fresh.source, 60, overfit_batches=1)
    assert laws.nll(fresh.model, batch, draws=64).nats.mean() < before - 0.01


def test_a_state_dict_round_trip_gives_the_same_model(fresh: Case, tmp_path: Any) -> None:
    model, x = fresh.model, fresh.source.split("val").x[:50]
    laws.fit(model, fresh.source, 2)
    laws.stir(model)
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other, _ = laws.tiny_source(fresh.family, seed=9)
    laws.stir(other, seed=1)
    assert not torch.equal(other.sample(40), model.sample(40)), "the other model is no other"
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(other.sample(40), model.sample(40))
    for estimator in fresh.family.estimators:
        assert torch.equal(laws.nll(other, x, estimator, 3).nats, laws.nll(model, x, estimator, 3).nats)
