"""Adversarial training: which network each update moves, the losses, and what the Trainer counts."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.errors import UserError
from lit_gen.families.gan import (
    GAN,
    R1,
    Hinge,
    NonSaturating,
    Objective,
    Updates,
)
from lit_gen.families.gan.penalty import Penalty, Scored, input_gradient
from lit_gen.families.gan.wgan_gp import WGANGP, GradientPenalty, Wasserstein
from lit_gen.nets import AdversarialNets, MLPAdversarialNets
from lit_gen.noise import Noise
from lit_gen.optim import AdversarialAdamW
from lit_gen.quantization import to_symmetric

from . import conformance as laws

SHAPE, LEVELS = (1, 4, 4), 2


class Polynomial(nn.Module):
    """D(x) = bias + w.x + x'Ax/2, whose gradient is w + Ax for symmetric A."""

    def __init__(self, dims: int, quadratic: bool) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(0.7))
        self.w = nn.Parameter(torch.linspace(-1, 1, dims))
        half = torch.randn(dims, dims, generator=torch.Generator().manual_seed(0))
        self.register_buffer("A", (half + half.T) * (0.1 if quadratic else 0.0))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.bias + x @ self.w + 0.5 * ((x @ self.A) * x).sum(1)


class Toy(AdversarialNets):
    """A linear generator against a polynomial."""

    def __init__(self, quadratic: bool = True) -> None:
        self.quadratic = quadratic

    def generator(self, num_latents: int, shape: Sequence[int], num_classes: int = 0) -> nn.Module:
        return nn.Sequential(nn.Linear(num_latents, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, tuple(shape)))

    def discriminator(self, shape: Sequence[int], last_bias: bool = True, num_classes: int = 0) -> nn.Module:
        return Polynomial(math.prod(shape), self.quadratic)


@pytest.fixture(scope="module")
def source() -> KnownEntropy:
    return KnownEntropy(SHAPE, LEVELS, splits=SampleSizes(num_train=1_000, num_val=20, num_test=20), batch_size=50)


def build(seed: int = 0, **options: Any) -> GAN:
    torch.manual_seed(seed)
    return GAN(SHAPE, LEVELS, **options)


def adamw(**options: Any) -> Any:
    return functools.partial(AdversarialAdamW, **options)


class Outputs(Callback):
    """What each step returned, and what it was given; torch's generator is seeded before each."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.x: list[Tensor] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(batch_idx)
        self.x.append(to_symmetric(batch[0], pl_module.num_levels))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.steps.append({name: float(value) for name, value in outputs.items()})


# ------------------------------------------------------------------ turns


class Turns(Callback):
    """Which parameters moved in each optimizer's step."""

    def __init__(self, model: GAN) -> None:
        self.model = model
        self.log: list[tuple[str, set[str], bool]] = []
        original = model._update

        def watched(optimizer: Any, losses: Any) -> None:
            before = {name: p.detach().clone() for name, p in model.named_parameters()}
            other = model.discriminator if self._player(optimizer) == "generator" else model.generator
            grads = [None if p.grad is None else p.grad.clone() for p in other.parameters()]
            original(optimizer, losses)
            moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
            untouched = all(
                (g is None and p.grad is None) or torch.equal(g, p.grad)
                for g, p in zip(grads, other.parameters(), strict=True)
            )
            self.log.append((self._player(optimizer), moved, untouched))

        model._update = watched  # type: ignore[method-assign]

    def _player(self, optimizer: Any) -> str:
        ours = {id(p) for group in optimizer.param_groups for p in group["params"]}
        return "generator" if ours == {id(p) for p in self.model.generator.parameters()} else "discriminator"


def names(model: GAN, player: str) -> set[str]:
    return {name for name, _ in model.named_parameters() if name.startswith(player)}


def test_a_turn_moves_its_own_player_and_no_other(source: KnownEntropy) -> None:
    model = build(penalty=R1(every=2))
    laws.stir(model)
    turns = Turns(model)
    laws.fit(model, source, 3)
    assert [player for player, _, _ in turns.log] == ["discriminator", "generator"] * 3
    for player, moved, untouched in turns.log:
        assert moved == names(model, player)
        assert untouched, f"the {player}'s turn left gradients in the other player"
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_two_optimizers_share_nothing_and_leave_nothing_out() -> None:
    model = build(
        generator_optimizer=adamw(lr=1e-3, betas=(0.3, 0.9)), discriminator_optimizer=adamw(lr=2e-3, betas=(0.3, 0.9))
    )
    opt_g, opt_d = model.configure_optimizers()
    for optimizer, net, lr in ((opt_g, model.generator, 1e-3), (opt_d, model.discriminator, 2e-3)):
        (group,) = optimizer.param_groups
        assert {id(p) for p in group["params"]} == {id(p) for p in net.parameters()}
        assert (group["lr"], group["betas"]) == (lr, (0.3, 0.9))
    assert len(list(model.parameters())) == sum(len(o.param_groups[0]["params"]) for o in (opt_g, opt_d))


def test_the_generator_runs_once_in_a_turn(source: KnownEntropy) -> None:
    """Its batch norm sees each fake batch once."""
    model = build()
    laws.fit(model, source, 5)
    counts = [int(m.num_batches_tracked) for m in model.generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert counts
    assert set(counts) == {5}


# ------------------------------------------------------------------ losses


def log_sigmoid(x: Tensor) -> Tensor:
    """By definition, float64."""
    return -torch.log1p(torch.exp(-x.double()))


def test_losses_are_the_non_saturating_game(source: KnownEntropy) -> None:
    """-log s(D(x)) - log(1 - s(D(G(z)))), and -log s(D(G(z))) against the discriminator just updated."""
    model = build(
        nets=Toy(),
        num_latents=3,
        generator_optimizer=adamw(lr=0.0),
        discriminator_optimizer=adamw(lr=0.05),
    )
    discriminators: list[Polynomial] = []

    class Snapshot(Callback):
        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            copy = Polynomial(16, True)
            copy.load_state_dict(model.discriminator.state_dict())
            discriminators.append(copy)

    outputs = Outputs()
    laws.fit(model, source, 3, outputs, Snapshot())
    assert len(discriminators) == 6  # before the discriminator's step and before the generator's, three times
    with torch.no_grad():
        for step in range(3):
            old, new = discriminators[2 * step : 2 * step + 2]
            torch.manual_seed(step)
            x_fake = model.generator(torch.randn(50, 3))
            loss_d = -log_sigmoid(old(outputs.x[step])).mean() - log_sigmoid(-old(x_fake)).mean()
            loss_g = -log_sigmoid(new(x_fake)).mean()
            assert outputs.steps[step]["discriminator_loss"] == pytest.approx(float(loss_d), rel=1e-5)
            assert outputs.steps[step]["loss"] == pytest.approx(float(loss_g), rel=1e-5)
            assert outputs.steps[step]["penalty"] == 0
            assert abs(float(loss_g + log_sigmoid(old(x_fake)).mean())) > 1e-3, "the two would not differ"


@pytest.mark.parametrize("quadratic", [False, True])
@pytest.mark.parametrize(("r1", "r1_every"), [(1.0, 1), (0.3, 4)])
def test_r1_is_the_closed_form(quadratic: bool, r1: float, r1_every: int) -> None:
    model = build(nets=Toy(quadratic), penalty=R1(r1, r1_every))
    D = model.discriminator
    x = torch.randn(30, *SHAPE, generator=torch.Generator().manual_seed(0))
    penalty = model._discriminator_loss(x, torch.zeros_like(x)).penalty
    gradient = (D.w + x.flatten(1) @ D.A).detach()
    expected = 0.5 * r1 * r1_every * gradient.square().sum(1).mean()
    assert float(penalty.detach()) == pytest.approx(float(expected), rel=1e-5)
    # It is on real examples, and it trains the discriminator: d/dw is gamma times the mean gradient.
    penalty.backward()
    assert torch.allclose(D.w.grad, r1 * r1_every * gradient.mean(0), rtol=1e-4, atol=1e-6)


def test_r1_trains_the_discriminator(source: KnownEntropy) -> None:
    """In the first step the gradients of a run with and of one without differ by the penalty's own."""

    class FirstGradient(Callback):
        value: Tensor | None = None

        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            if self.value is None:
                self.value = pl_module.discriminator.w.grad.clone()

    gradients, x = [], torch.empty(0)
    for r1 in (0.0, 5.0):
        first, outputs = FirstGradient(), Outputs()
        model = build(nets=Toy(), penalty=R1(r1))
        D = Polynomial(16, True)
        laws.fit(model, source, 1, outputs, first)
        gradients.append(first.value)
        x = outputs.x[0].flatten(1)
    expected = 5 * (D.w + x @ D.A).detach().mean(0)
    assert torch.allclose(gradients[1] - gradients[0], expected, rtol=1e-3, atol=1e-4)


def test_r1_looks_at_real_examples_alone() -> None:
    model = build(nets=Toy(), penalty=R1(1.0))
    x = torch.randn(30, *SHAPE, generator=torch.Generator().manual_seed(0))
    penalties = [model._discriminator_loss(x, fake).penalty.detach() for fake in (torch.zeros_like(x), 9 * x)]
    assert torch.equal(*penalties)


def test_the_lazy_penalty_keeps_its_schedule_over_a_checkpoint(source: KnownEntropy) -> None:
    model = build(penalty=R1(every=3))
    outputs = Outputs()
    laws.fit(model, source, 5, outputs)
    assert [step["penalty"] > 0 for step in outputs.steps] == [True, False, False, True, False]
    assert model.discriminator_steps == 5
    resumed = build(penalty=R1(every=3))
    resumed.load_state_dict(model.state_dict())
    outputs = Outputs()
    laws.fit(resumed, source, 3, outputs)
    assert [step["penalty"] > 0 for step in outputs.steps] == [False, True, False]


def test_without_r1_there_is_no_penalty(source: KnownEntropy) -> None:
    outputs = Outputs()
    laws.fit(build(penalty=R1(0.0)), source, 2, outputs)
    assert [step["penalty"] for step in outputs.steps] == [0, 0]


def test_gradients_are_each_examples_own_and_differentiable() -> None:
    a = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    norms = input_gradient(Scored(x, (a * x**2).sum(1))).square().sum(1)  # gradient 2 a x
    assert torch.allclose(norms, (2 * a * x).square().sum(1))
    norms.sum().backward()
    assert torch.allclose(a.grad, (8 * a * x.square().sum(0)).detach())


# ------------------------------------------------------------------ other objectives


class Linear(nn.Module):
    """D(x) = w.x, without a bias; its best slope for the Wasserstein objective is known."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-1, 1, dims))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.w


def test_the_gradient_penalty_is_the_closed_form() -> None:
    """A linear critic has one gradient everywhere: the penalty is ``weight (|w| - 1)**2``, with its own gradient."""
    critic, x = Linear(16), torch.randn(30, *SHAPE, generator=torch.Generator().manual_seed(0))
    real, fake = Scored(x, critic(x)), Scored(-x, critic(-x))
    penalty = GradientPenalty(weight=7.0, every=2)(critic, real, fake)
    norm = critic.w.detach().norm()
    assert float(penalty.detach()) == pytest.approx(float(14 * (norm - 1) ** 2), rel=1e-5)
    penalty.backward()
    assert torch.allclose(critic.w.grad, 28 * (norm - 1) * critic.w.detach() / norm, rtol=1e-4)


def test_the_gradient_penalty_is_taken_between_real_examples_and_samples() -> None:
    """A quadratic critic's gradient is w + A x: at ends that are equal, the penalty is that of these points."""
    critic = Polynomial(16, True)
    x = torch.randn(30, *SHAPE, generator=torch.Generator().manual_seed(0))
    penalty = GradientPenalty(1.0)(critic, Scored(x, critic(x)), Scored(x, critic(x)))
    norm = (critic.w + x.flatten(1) @ critic.A).detach().norm(dim=1)
    assert float(penalty.detach()) == pytest.approx(float((norm - 1).square().mean()), rel=1e-5)


@pytest.mark.parametrize("objective", [Hinge(), Wasserstein()], ids=lambda o: type(o).__name__)
def test_losses_by_their_definitions(objective: Objective) -> None:
    real, fake = torch.tensor([-2.0, 0.5, 3.0]), torch.tensor([-3.0, 0.0, 0.5])
    expected = {"Hinge": (3 + 0.5 + 0) / 3 + (0 + 1 + 1.5) / 3, "Wasserstein": -2.5 / 3 - 1.5 / 3}
    assert float(objective.discriminator_loss(real, fake)) == pytest.approx(expected[type(objective).__name__])
    assert float(objective.generator_loss(None, fake)) == pytest.approx(2.5 / 3)


@pytest.mark.parametrize("objective", [NonSaturating(), Hinge(), Wasserstein()], ids=lambda o: type(o).__name__)
def test_the_last_bias_is_left_out_where_no_gradient_would_reach_it(objective: Objective) -> None:
    real, fake = 0.3 * torch.rand(20), -0.3 * torch.rand(20)
    losses = [objective.discriminator_loss(real + c, fake + c) for c in (0.0, 0.1)]
    assert objective.last_bias == (not torch.allclose(*losses, atol=1e-5))


def test_nets_leave_the_last_bias_out() -> None:
    for nets in (None, MLPAdversarialNets()):
        seen, unseen = build(nets=nets), build(nets=nets, objective=Wasserstein())
        sizes = [sum(p.numel() for p in model.discriminator.parameters()) for model in (seen, unseen)]
        assert sizes[0] - sizes[1] == 1


def test_five_steps_of_the_critic_for_each_of_the_generator(source: KnownEntropy) -> None:
    torch.manual_seed(0)
    model = WGANGP(SHAPE, LEVELS)
    laws.stir(model)
    turns = Turns(model)
    trainer = laws.fit(model, source, 2)
    assert [network for network, _, _ in turns.log] == (["discriminator"] * 5 + ["generator"]) * 2
    assert all(moved == names(model, network) and untouched for network, moved, untouched in turns.log)
    assert (trainer.global_step, model.discriminator_steps) == (2, 10)


def test_each_step_of_the_critic_sees_a_fresh_batch(source: KnownEntropy) -> None:
    outputs = Outputs()
    laws.fit(build(updates=Updates(discriminator_steps=3)), source, 1, outputs)
    assert len(outputs.x) == 3
    assert not any(torch.equal(outputs.x[i], outputs.x[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert ["loss" in step for step in outputs.steps] == [False, False, True]


def test_a_checkpoint_between_two_steps_of_the_generator_keeps_its_turn(source: KnownEntropy) -> None:
    model = build(updates=Updates(discriminator_steps=3))
    laws.fit(model, source, -1, max_epochs=1, limit_train_batches=4)
    resumed = build(updates=Updates(discriminator_steps=3))
    resumed.load_state_dict(model.state_dict())
    outputs = Outputs()
    laws.fit(resumed, source, -1, outputs, max_epochs=1, limit_train_batches=3)
    assert ["loss" in step for step in outputs.steps] == [False, True, False]


def test_a_wasserstein_critic_finds_the_distance_of_two_points() -> None:
    """All data at one state, the generator held: the critic's mean difference comes near their distance."""
    splits = SampleSizes(num_train=2_000, num_val=20, num_test=20)
    data = KnownEntropy((4,), 3, num_components=1, splits=splits, batch_size=100)
    data.split("train").x.copy_(torch.tensor([2, 0, 1, 0], dtype=torch.uint8))
    torch.manual_seed(0)
    model = WGANGP(
        (4,), 3, nets=MLPAdversarialNets(hidden_sizes=(64,)), generator_optimizer=adamw(lr=0.0),
        discriminator_optimizer=adamw(lr=5e-3, betas=(0.0, 0.9)),
    )  # fmt: skip
    for parameter in model.generator.parameters():
        parameter.data.zero_()  # tanh(0) is 0 in every dimension
    laws.fit(model, data, 60)
    with torch.no_grad():
        real, fake = torch.tensor([[1.0, -1.0, 0.0, -1.0]]), torch.zeros(1, 4)
        found = float(model.discriminator(real) - model.discriminator(fake))
    # The penalty lets the slope g pass 1: the best of d g - 10 (g - 1)**2 is g = 1 + d / 20.
    distance = math.sqrt(3)
    assert found == pytest.approx(distance * (1 + distance / 20), rel=0.06)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: R1(weight=-1.0), "penalty: weight=-1.0"),
        (lambda: R1(weight=math.nan), "penalty: weight=nan"),
        (lambda: R1(every=0), "every=0"),
        (lambda: Updates(discriminator_steps=0), "discriminator_steps=0"),
        (lambda: Updates(clip_norm=math.inf), "clip_norm=inf"),
    ],
)
def test_values_that_cannot_be_are_named(wrong: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        wrong()


class Norms(Callback):
    """Each optimizer's gradient, as it is stepped with: the norm, and the direction."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.directions: list[Tensor] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        whole = torch.cat([p.grad.flatten() for g in optimizer.param_groups for p in g["params"]])
        self.values.append(float(whole.norm()))
        self.directions.append(whole / whole.norm())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("family", [GAN, functools.partial(GAN, penalty=R1(10.0)), WGANGP])
def test_clipping_bounds_both_networks_and_keeps_the_direction(
    family: Any, precision: Any, source: KnownEntropy
) -> None:
    """Also with fused optimizers under bfloat16, which Lightning's own clipping refuses."""
    free, clipped = Norms(), Norms()
    for norms, clip_norm in ((free, 0.0), (clipped, 1e-3)):
        torch.manual_seed(0)
        model = family(SHAPE, LEVELS, updates=Updates(clip_norm=clip_norm))
        laws.fit(model, source, 2, norms, precision=precision)
    assert min(free.values) > 2e-3
    assert clipped.values == pytest.approx([1e-3] * 4, rel=1e-2)
    assert torch.allclose(clipped.directions[0], free.directions[0], atol=1e-5), "before any step they are the same"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_below_the_largest_norm_are_not_clipped(precision: Any, source: KnownEntropy) -> None:
    free, bounded = Norms(), Norms()
    laws.fit(build(penalty=R1()), source, 2, free, precision=precision)
    laws.fit(build(penalty=R1(), updates=Updates(clip_norm=1e3)), source, 2, bounded, precision=precision)
    assert free.values == pytest.approx(bounded.values, rel=1e-5)


@pytest.mark.parametrize("penalty", [R1(), GradientPenalty()])
def test_a_penalty_in_half_precision_is_that_of_full_precision_up_to_rounding(
    penalty: Penalty, source: KnownEntropy
) -> None:
    values = []
    for precision in ("32-true", "bf16-mixed"):
        model, outputs = build(penalty=penalty), Outputs()
        laws.stir(model)
        laws.fit(model, source, 1, outputs, precision=precision)
        values.append(outputs.steps[0]["penalty"])
    assert values[0] > 1e-4
    assert values[1] == pytest.approx(values[0], rel=0.05)
    assert values[0] != values[1], "the second ran in bfloat16"


def test_the_game_moves_the_generator_towards_the_data() -> None:
    """All data at one state: in a hundred turns the generator finds it."""
    splits = SampleSizes(num_train=2_000, num_val=20, num_test=20)
    data = KnownEntropy((1, 2, 2), 2, num_components=1, splits=splits, batch_size=100)
    data.split("train").x.copy_(torch.tensor([1, 0, 0, 1], dtype=torch.uint8).reshape(1, 2, 2))
    torch.manual_seed(0)
    fast = adamw(lr=5e-3)
    nets = MLPAdversarialNets(hidden_sizes=(32,))
    model = GAN((1, 2, 2), 2, nets=nets, penalty=R1(), generator_optimizer=fast, discriminator_optimizer=fast)
    laws.fit(model, data, 100)
    hits = (model.sample(200) == data.split("train").x[0]).flatten(1).all(1)
    assert hits.double().mean() > 0.95


# ------------------------------------------------------------------ the Trainer's counters, the contract


def test_global_step_counts_batches(source: KnownEntropy) -> None:
    outputs = Outputs()
    trainer = laws.fit(build(), source, -1, outputs, max_epochs=1, limit_train_batches=6)
    assert trainer.global_step == len(outputs.steps) == 6


def test_max_steps_counts_batches(source: KnownEntropy) -> None:
    outputs = Outputs()
    trainer = laws.fit(build(), source, 7, outputs)
    assert trainer.global_step == len(outputs.steps) == 7
    assert trainer.lightning_module.discriminator_steps == 7


def test_there_is_no_likelihood(source: KnownEntropy) -> None:
    model = build()
    x = source.split("val").x
    assert model.estimators == ()
    assert model.nll(x, Noise(0, range(len(x)))) is None
    (metrics,) = laws.trainer(1, limit_val_batches=1.0).validate(model, source, verbose=False)
    assert metrics == {}


def test_the_generator_alone_samples() -> None:
    model = build(nets=Toy(), num_latents=3)
    calls: list[int] = []
    model.generator.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    samples = model.sample(7, block=4)
    assert sum(calls) == model.function_evaluations == 7
    with torch.no_grad():
        x_hat = model.generator(Noise(0, range(7)).normal(3))
    assert torch.equal(samples, (x_hat > 0).to(torch.uint8))
