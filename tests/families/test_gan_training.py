"""GANs' training: parts of a batch, clipping in float16, weight clipping, classes, curves, and what is told of it."""

from __future__ import annotations

import functools
import types
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lit_gen.callbacks import Curves, Diagnostics
from lit_gen.data import KnownEntropy, SampleSizes, Split
from lit_gen.errors import UserError
from lit_gen.families import R3GAN, SNGAN, WGAN
from lit_gen.families.gan import (
    DRAGAN,
    GAN,
    R1,
    GeneratorSampling,
    Hinge,
    LeastSquares,
    NonSaturating,
    R1AndR2,
    RelativisticPairing,
    Updates,
    Wasserstein,
)
from lit_gen.families.gan.diagnosis import diagnosed, diversity
from lit_gen.families.gan.generator_sampling import latents
from lit_gen.nets import MLPAdversarialNets, SNGANNets
from lit_gen.noise import Noise
from lit_gen.optim import AdversarialAdamW

from . import conformance as laws

SHAPE, LEVELS = (1, 4, 4), 2
SMALL = SNGANNets((8, 8), (8, 8), halvings=1)


def source(num_train: int = 400) -> KnownEntropy:
    splits = SampleSizes(num_train=num_train, num_val=60, num_test=20)
    return KnownEntropy(SHAPE, LEVELS, splits=splits, batch_size=50)


class Labelled(KnownEntropy):
    """The same, with the number of the value of the first dimension as class."""

    def read(self) -> dict[str, Split]:  # type: ignore[override]
        return {name: Split(split.x, split.x.flatten(1)[:, 0].long()) for name, split in super().read().items()}


def labelled() -> Labelled:
    return Labelled(SHAPE, LEVELS, splits=SampleSizes(num_train=400, num_val=60, num_test=20), batch_size=50)


def build(family: Any = GAN, seed: int = 0, **options: Any) -> GAN:
    torch.manual_seed(seed)
    model: GAN = family(SHAPE, LEVELS, **options)
    return model


class Steps(Callback):
    """Each optimizer's gradient, and what each step returned."""

    def __init__(self) -> None:
        self.gradients: list[Tensor] = []
        self.shown: list[dict[str, float]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.gradients.append(torch.cat([p.grad.flatten() for g in optimizer.param_groups for p in g["params"]]))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.shown.append({name: float(value) for name, value in outputs.items()})


# ------------------------------------------------------------------ parts of a batch


@pytest.mark.parametrize("objective", [NonSaturating(), RelativisticPairing()], ids=lambda o: type(o).__name__)
def test_parts_of_a_batch_have_the_gradient_of_the_whole(objective: Any) -> None:
    """Of 50 examples in 3 parts of unequal size; nets without batch norm, with a penalty at real examples."""
    found = []
    for parts in (1, 3):
        nets, updates = MLPAdversarialNets(), Updates(discriminator_steps=2, micro_batches=parts)
        model = build(nets=nets, objective=objective, penalty=R1(2.0, every=2), updates=updates)
        steps = Steps()
        laws.fit(model, source(), 2, steps)
        found.append(steps)
    assert len(found[0].gradients) == len(found[1].gradients) == 6
    for whole, added in zip(found[0].gradients, found[1].gradients, strict=True):
        assert torch.allclose(whole, added, rtol=1e-3, atol=1e-6)
    for whole_row, added_row in zip(found[0].shown, found[1].shown, strict=True):
        assert added_row.keys() == whole_row.keys()
        for name in ("loss", "discriminator_loss", "penalty"):
            assert added_row.get(name, 0) == pytest.approx(whole_row.get(name, 0), rel=1e-4, abs=1e-6)


def test_more_parts_than_examples_are_as_many_as_examples() -> None:
    """A batch of one example in each part is the finest division there is."""
    trained = []
    for parts in (1000, source().batch_size):
        model = build(nets=MLPAdversarialNets(), updates=Updates(micro_batches=parts))
        laws.fit(model, source(), 1)
        trained.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*trained)


# ------------------------------------------------------------------ clipping


def test_scaled_gradients_are_clipped_as_unscaled_ones() -> None:
    """In float16 gradients carry the scaler's factor until the step; the same step comes out."""
    model = build(nets=MLPAdversarialNets(), updates=Updates(clip_norm=0.1))
    gradient = {name: torch.randn(p.shape) for name, p in model.discriminator.named_parameters()}
    clipped = []
    for scale in (None, 1024.0):
        scaler = None if scale is None else types.SimpleNamespace(get_scale=lambda: 1024.0)
        model._trainer = types.SimpleNamespace(precision_plugin=types.SimpleNamespace(scaler=scaler))  # type: ignore[assignment]
        for name, p in model.discriminator.named_parameters():
            p.grad = gradient[name] * (scale or 1.0)
        model._clip(torch.optim.SGD(model.discriminator.parameters(), 0.1), 0.1)
        whole = torch.cat([p.grad.flatten() for p in model.discriminator.parameters()]) / (scale or 1.0)
        assert float(whole.norm()) == pytest.approx(0.1, rel=1e-4)
        clipped.append(whole)
    assert torch.allclose(*clipped, rtol=1e-4)
    model._trainer = None


@pytest.mark.parametrize("penalty", [R1(1e4), R1AndR2(1e4), DRAGAN(1e4)], ids=lambda p: type(p).__name__)
def test_a_penalty_is_taken_in_float32_under_float16(penalty: Any) -> None:
    """Where its products leave float16's range: 65,504 at most."""
    model = build(nets=MLPAdversarialNets(hidden_sizes=(64,)), penalty=penalty)
    with torch.no_grad():
        for p in model.discriminator.parameters():
            p.mul_(50)
    x, x_fake = torch.randn(2, 20, *SHAPE)
    expected, found = [], []
    for values, half in ((expected, False), (found, True)):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.float16, enabled=half):
            loss = model._discriminator_loss(x, x_fake.half() if half else x_fake.half().float())
        gradient = torch.autograd.grad(loss.penalty, next(model.discriminator.parameters()))[0]
        values += [float(loss.penalty.detach()), float(gradient.norm())]
    assert expected[0] > 65_504
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_critics_parameters_are_clipped_after_each_of_its_steps() -> None:
    class Largest(Callback):
        values: tuple[float, ...] = ()

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            self.values += (max(float(p.detach().abs().max()) for p in pl_module.discriminator.parameters()),)

    largest = Largest()
    model = build(WGAN, nets=MLPAdversarialNets())
    before = max(float(p.abs().max().detach()) for p in model.generator.parameters())
    laws.fit(model, source(), 1, largest)
    assert max(largest.values) == pytest.approx(0.01)
    assert len(largest.values) == 5
    assert max(float(p.abs().max().detach()) for p in model.generator.parameters()) > 0.5 * before, (
        "the generator's not"
    )


def test_a_wgan_without_a_limit_is_told() -> None:
    with pytest.raises(UserError, match=r"updates\.weight_clip is 0"):
        build(WGAN, updates=Updates(discriminator_steps=5))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Updates(micro_batches=0), "micro_batches=0"),
        (lambda: Updates(weight_clip=-0.1), r"weight_clip=-0\.1"),
        (lambda: Updates(clip_norm=float("nan")), "clip_norm=nan"),
        (lambda: LeastSquares(real=0.0, fake=0.0), "must be finite and above fake"),
        (lambda: LeastSquares(generator=float("nan")), "generator=nan"),
        (lambda: GeneratorSampling(truncation=0.0), "truncation=0"),
        (lambda: GeneratorSampling(truncation=float("nan")), "truncation=nan"),
        (lambda: GeneratorSampling(recalibration=-1), "recalibration=-1"),
        (lambda: build(R3GAN, sampling=GeneratorSampling(recalibration=2)), "R3GAN has none"),
        (lambda: build(num_classes=-1), "num_classes=-1"),
        (lambda: build(num_classes=2), "DCGAN takes no classes"),
    ],
)
def test_values_that_cannot_be_are_named(wrong: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        wrong()


# ------------------------------------------------------------------ classes


def test_data_without_labels_are_told_before_the_first_step() -> None:
    with pytest.raises(UserError, match="the data have no labels"):
        laws.fit(build(SNGAN, num_classes=2, nets=SMALL), source(), 1)


@pytest.mark.parametrize("family", [SNGAN, R3GAN])
def test_both_networks_learn_classes(family: Any) -> None:
    """Every parameter is reached, embeddings included, and samples follow the label."""
    model = build(family, num_classes=2)
    gradients = laws.Gradients()
    laws.fit(model, labelled(), 4, gradients)
    assert gradients.not_zero == {name for name, _ in model.named_parameters()}
    laws.stir(model)
    pair = [model.sample(40, label=k) for k in (0, 1)]
    assert not torch.equal(*pair)
    mixed = model.sample(40)
    own = (Noise(0, range(40)).uniform() * 0).long()  # the classes that the model draws, by its own noise
    noise = Noise(0, range(40))
    model.sample_latent(noise)
    own = model._classes(noise)
    expected = torch.stack([pair[k][i] for i, k in enumerate(own.tolist())])
    assert torch.equal(mixed, expected)
    assert 10 < int(own.sum()) < 30


# ------------------------------------------------------------------ samples


def test_truncated_latents_are_those_that_are_drawn_again() -> None:
    z = latents(Noise(0, range(4000)), 8, 0.8)
    assert z.abs().max() <= 0.8
    drawn = torch.randn(400_000, generator=torch.Generator().manual_seed(0))
    drawn = drawn[drawn.abs() < 0.8]
    shares = torch.linspace(0.05, 0.95, 19)
    assert torch.allclose(z.flatten().quantile(shares), drawn[:100_000].quantile(shares), atol=0.012)
    assert torch.allclose(latents(Noise(0, range(50)), 8, 50.0).std(), torch.tensor(1.0), atol=0.1)
    model = build(sampling=GeneratorSampling(truncation=0.8))
    assert model.sampler_settings()["truncation"] == 0.8
    assert "truncation" not in build().sampler_settings()


def test_recalibrated_batch_norm_has_the_statistics_of_its_samples() -> None:
    """Those of the weights that are sampled, whatever the running statistics; the network stays as it was."""
    model = build(sampling=GeneratorSampling(recalibration=4))
    laws.stir(model)
    norms = [m for m in model.generator.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean.fill_(7.0)  # type: ignore[union-attr, operator]
    state = {name: t.clone() for name, t in model.generator.state_dict().items()}
    samples = model.sample(30)
    assert all(torch.equal(t, state[name]) for name, t in model.generator.state_dict().items())
    assert model.sampler_settings()["batch_norm_batches"] == 4
    with model.sampled_by(GeneratorSampling()):
        assert not torch.equal(model.sample(30), samples), "with the running statistics others"
    # As batch norm in training, over one large batch.
    z = Noise(0x57A75, range(1000)).normal(16)
    seen: list[Tensor] = []
    norms[0].register_forward_hook(lambda _, inputs, out: seen.append(inputs[0]))
    model.generator.train()(z)
    found = model._standing.of(model.generator, lambda noise: (noise.normal(16),), model.sampling, torch.device("cpu"))
    first = next(name for name in found if name.endswith("running_mean"))
    assert torch.allclose(found[first], seen[0].mean((0, 2, 3)), atol=1e-4)


def test_statistics_follow_the_weights() -> None:
    """After a step, and after averaged weights were copied in, they are taken anew; once otherwise."""
    model = build(sampling=GeneratorSampling(recalibration=1)).eval()
    calls = []
    statistics = model._standing
    original = statistics.of

    def counted(*args: Any) -> Any:
        before = statistics._key
        found = original(*args)
        calls.append(statistics._key != before)
        return found

    statistics.of = counted  # type: ignore[method-assign]
    model.sample(300, block=100)
    laws.fit(model, source(), 1)  # by fused optimizers, which count no versions
    model.sample(100)
    with torch.no_grad():
        next(model.generator.parameters()).copy_(torch.zeros(()))
    model.sample(100)
    assert calls == [True, False, False, True, True]


# ------------------------------------------------------------------ curves and warnings


def test_accuracies_are_shares_on_the_objectives_side_of_the_boundary() -> None:
    real, fake = torch.tensor([2.0, 0.4, -1.0]), torch.tensor([0.6, -3.0, 0.2])
    of: Any = {
        NonSaturating(): (2 / 3, 1 / 3),
        Hinge(): (2 / 3, 1 / 3),
        LeastSquares(): (1 / 3, 2 / 3),  # above and below 0.5
        Wasserstein(): (2 / 3, 1 / 3),  # the middle of the means is -0.13
        RelativisticPairing(): (2 / 3, 1 / 3),
    }
    for objective, expected in of.items():
        model = build(objective=objective)
        critic: Any = lambda x: x  # noqa: E731
        found = model._scored_loss(critic, real, fake)
        assert (float(found.accuracy_real), float(found.accuracy_fake)) == pytest.approx(expected), objective


def test_overfitting_lies_between_training_examples_and_samples() -> None:
    """0 where held-out examples have the outputs of training examples, 1 where they have those of samples."""
    train, fake = torch.tensor([3.0, 5.0]), torch.tensor([-1.0, -3.0])
    for held_out, expected in ((train, 0.0), (fake, 1.0), (train - 3, 0.5)):
        found = diagnosed(NonSaturating(), train, held_out, fake, 1.0)
        assert found.values["discriminator_overfitting"] == pytest.approx(expected)
    assert found.values["accuracy_train"] == 1.0
    assert not found.warnings


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]])
    assert diversity(x) == pytest.approx((5 + 8 + 5) / 3)


def test_a_collapse_is_told_once_with_the_examples_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """A generator of one image has no diversity."""
    model = build(nets=MLPAdversarialNets(), generator_optimizer=functools.partial(AdversarialAdamW, lr=0.0))
    with torch.no_grad():
        for p in model.generator.parameters():
            p.zero_()
    laws.fit(model, source(), -1, Diagnostics(), max_epochs=3, limit_val_batches=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if "collapsed" in line]
    assert lines == ["warning: samples have collapsed: diversity 0% of the data's at 0 examples"]


def test_a_diagnosis_is_logged_and_counts_no_evaluations() -> None:
    model = build(penalty=DRAGAN())
    laws.stir(model)
    trainer = laws.fit(model, source(), -1, Diagnostics(), max_epochs=1, limit_val_batches=1)
    names = {"accuracy_train", "accuracy_held_out", "accuracy_fake", "discriminator_overfitting", "diversity"}
    assert {f"val/{name}" for name in names} <= set(trainer.callback_metrics)
    assert 0.3 < float(trainer.callback_metrics["val/diversity"]) < 1.5
    assert model.function_evaluations == 0


def test_a_loss_that_is_not_finite_names_the_network_and_the_step() -> None:
    class Breaks(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 3:
                with torch.no_grad():
                    next(pl_module.discriminator.parameters()).fill_(float("nan"))

    with pytest.raises(FloatingPointError, match=r"train/discriminator_loss \(of the discriminator\).*first in step 4"):
        laws.fit(build(), source(), 6, Curves(), Breaks(), log_every_n_steps=6)
