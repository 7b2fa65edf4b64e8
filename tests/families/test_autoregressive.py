"""The laws of the chain rule, for every autoregressive model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.errors import UserError
from lit_gen.families.autoregressive import MADE, Autoregressive, draw
from lit_gen.noise import Noise

from . import autoregressives
from . import conformance as laws
from .conformance import adamw

SHAPE, LEVELS = (1, 3, 5), 3


def stirred(name: str, shape: tuple[int, ...] = SHAPE, **options: int) -> Autoregressive:
    builds = autoregressives.WITH_CLASSES if options else autoregressives.ALL
    torch.manual_seed(0)
    model = builds[name](shape, LEVELS, **options)
    laws.stir(model, scale=0.5 if options else 0.2)  # classes must differ
    return model.eval()


def levels(shape: tuple[int, ...] = SHAPE, n: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, LEVELS, (n, *shape), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("name", autoregressives.ALL)
def test_conditionals_see_what_stands_before_them_and_nothing_else(name: str) -> None:
    model = stirred(name)
    x, order = levels(n=40), model.order.tolist()
    with torch.no_grad():
        before = model.logits(x).flatten(2)[:, :, order]
        for i, position in enumerate(order):
            other = x.flatten(1).clone()
            other[:, position] = (other[:, position] + 1) % LEVELS
            after = model.logits(other.unflatten(1, SHAPE)).flatten(2)[:, :, order]
            changed = (after - before).abs().amax((0, 1)) > 1e-6
            assert not changed[: i + 1].any(), f"dimension {i} is seen by itself or before it"
            assert i + 1 == len(order) or changed[i + 1], f"dimension {i} is not seen by the next"


@pytest.mark.parametrize("name", autoregressives.ALL)
def test_one_by_one_is_the_whole_pass(name: str) -> None:
    model = stirred(name)
    x = levels()
    with torch.no_grad():
        whole = model.logits(x).flatten(2).log_softmax(1)
        cached, naive = model.conditionals(len(x)), model.naive_conditionals(len(x))
        value = None
        for position in model.order.tolist():
            one, full = (asked.next(value).log_softmax(1) for asked in (cached, naive))
            assert torch.allclose(one, whole[:, :, position], atol=1e-5)
            assert torch.allclose(full, whole[:, :, position], atol=1e-5)
            value = x.flatten(1)[:, position].long()


@pytest.mark.parametrize("name", autoregressives.ALL)
def test_samples_are_the_naive_ones_draw_for_draw(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = stirred(name)
    cached = model.sample(50, seed=3)
    monkeypatch.setattr(type(model), "conditionals", type(model).naive_conditionals)
    assert torch.equal(model.sample(50, seed=3), cached)


@pytest.mark.parametrize("name", autoregressives.ALL)
def test_samples_of_a_model_trained_in_bfloat16_are_drawn_in_float32(name: str) -> None:
    """The Trainer's autocast is around the sampling of a run, and not around that of ``lit_gen.sample``."""
    model = stirred(name)
    with torch.autocast("cpu", torch.bfloat16):
        inside = model.sample(50, seed=3)
    assert torch.equal(inside, model.sample(50, seed=3))


def chi_square(samples: Tensor, states: Tensor, p: Tensor) -> float:
    """Standard deviations from what samples of the states with probabilities p would show."""
    digits = LEVELS ** torch.arange(states[0].numel())
    seen = torch.bincount(samples.flatten(1).long() @ digits, minlength=LEVELS ** len(digits))
    seen, expected = seen[states.flatten(1).long() @ digits].double(), len(samples) * p
    rare = expected < 5  # counted together: chi-square is for sums that are about normal
    seen, expected = (torch.cat([t[~rare], t[rare].sum(0, keepdim=True)]) for t in (seen, expected))
    degrees = len(seen) - 1
    return (float(((seen - expected).square() / expected.clamp_min(1)).sum()) - degrees) / math.sqrt(2 * degrees)


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in autoregressives.ALL]
    + [(name, {"num_classes": 3}) for name in autoregressives.WITH_CLASSES],
    ids=str,
)
def test_samples_occur_as_often_as_they_are_likely(name: str, options: dict[str, int]) -> None:
    model = stirred(name, (1, 2, 2), **options)
    states = KnownEntropy((1, 2, 2), LEVELS).enumerate()
    p = (-laws.nll(model, states).nats.double()).exp()
    n = 20_000
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    assert abs(chi_square(model.sample(n, block=n), states, p)) < 5
    for c in range(model.num_classes):
        of_one = model.log_prob(states, torch.full((len(states),), c)).detach().double().exp()
        assert chi_square(model.sample(n, block=n), states, of_one) > 10, "its classes are alike"


@pytest.mark.parametrize("name", autoregressives.ALL)
def test_the_known_entropy_is_reached(name: str) -> None:
    if name == "FVSBN":
        pytest.skip("a linear net cannot learn what the source does")
    torch.manual_seed(0)
    source = KnownEntropy((1, 2, 2), LEVELS, splits=SampleSizes(num_train=20_000, num_test=20_000), batch_size=200)
    model = autoregressives.ALL[name]((1, 2, 2), LEVELS, optimizer=adamw(lr=5e-3))
    laws.fit(model, source, 600)
    excess = laws.bits_above_entropy(model, source, "chain-rule", draws=1)
    assert -0.01 < excess < 0.02, f"{excess:.4f} bits/dim above the entropy"


@pytest.mark.parametrize("name", autoregressives.ALL)
def test_what_is_given_is_kept_and_the_rest_is_drawn_from_it(name: str) -> None:
    model = stirred(name)
    x, given = levels(n=300), 7
    order = model.order
    done = model.complete(x, given, Noise(0, range(300)))
    kept = x.flatten(1)[:, order[:given]]
    assert torch.equal(done.flatten(1)[:, order[:given]], kept)
    assert not torch.equal(done.flatten(1)[:, order[given:]], x.flatten(1)[:, order[given:]])
    # With the same noise, all that was drawn by the model itself is drawn again after its own beginning.
    own = model.generate(Noise(0, range(300)))
    assert torch.equal(model.complete(own, given, Noise(0, range(300))), own)


@pytest.mark.parametrize("name", autoregressives.WITH_CLASSES)
def test_without_a_label_the_class_is_drawn_from_what_is_given(name: str) -> None:
    """``P(rest | given)`` of the mixture over classes; in autocast, which must not come in."""
    model = stirred(name, (1, 2, 2), num_classes=3)
    states, given, n = KnownEntropy((1, 2, 2), LEVELS).enumerate(), 2, 20_000
    first = model.order[:given]
    posterior = model.class_logits(states, given).softmax(1)
    begun = states[posterior.amax(1).argmax()]
    after = states[(states.flatten(1)[:, first] == begun.flatten()[first]).all(1)]
    assert len(after) == LEVELS**2
    p = (-laws.nll(model, after).nats.double()).exp()
    with torch.autocast("cpu", torch.bfloat16):
        done = model.complete(begun.expand(n, -1, -1, -1), given, Noise(0, range(n)))
    assert abs(chi_square(done, after, p / p.sum())) < 5
    even = torch.stack(
        [model.log_prob(after, torch.full((len(after),), c)).detach().double().softmax(0) for c in range(3)]
    ).mean(0)
    assert chi_square(done, after, even) > 10, "what is given says nothing of the class"


@pytest.mark.parametrize("name", autoregressives.WITH_CLASSES)
def test_given_a_class_probabilities_sum_to_one_and_the_whole_is_their_mean(name: str) -> None:
    model = stirred(name, (1, 2, 2), num_classes=3)
    states = KnownEntropy((1, 2, 2), LEVELS).enumerate()
    with torch.no_grad():
        each = torch.stack([model.log_prob(states, torch.full((len(states),), c)).double().exp() for c in range(3)])
    assert torch.allclose(each.sum(1), torch.ones(3, dtype=torch.float64), atol=1e-5)
    assert (each[0] - each[1]).abs().max() > 1e-4, "the class changes nothing"
    whole = (-laws.nll(model, states).nats.double()).exp()
    assert torch.allclose(whole, each.mean(0), rtol=1e-4)


@pytest.mark.parametrize("name", autoregressives.WITH_CLASSES)
def test_samples_of_a_class_are_of_that_class(name: str) -> None:
    model = stirred(name, (1, 2, 2), num_classes=3)
    x = levels((1, 2, 2), 40)
    with torch.no_grad():
        for c in range(3):
            label = torch.full((40,), c)
            whole = model.logits(x, label).flatten(2).log_softmax(1)
            cached, value = model.conditionals(40, label), None
            for position in model.order.tolist():
                assert torch.allclose(cached.next(value).log_softmax(1), whole[:, :, position], atol=1e-5)
                value = x.flatten(1)[:, position].long()
    assert not torch.equal(model.sample(40, label=0), model.sample(40, label=1))


def test_a_draw_follows_the_logits_and_the_temperature() -> None:
    p = torch.tensor([0.5, 0.2, 0.3])
    u = (torch.arange(1000) + 0.5) / 1000
    for temperature in (0.5, 1.0, 2.0):
        expected = p ** (1 / temperature)
        drawn = draw(p.log().expand(1000, 3), u, temperature)
        shares = torch.bincount(drawn, minlength=3) / 1000
        assert torch.allclose(shares, expected / expected.sum(), atol=2e-3)
    assert draw(p.log().expand(1000, 3), u, 0.0).eq(0).all()
    # Rounded sums may end below the last u: it is still a level, and one that can occur.
    last = torch.tensor([1 - 2**-24])
    assert draw(torch.zeros(1, 256), last, 1.0).item() == 255
    logits = torch.randn(500, 256, generator=torch.Generator().manual_seed(0))
    logits[:, 200:] = -200.0
    assert draw(logits, last.expand(500), 1.0).amax() < 200


# ------------------------------------------------------------------ several orders


def test_orders_are_averaged_as_probabilities() -> None:
    torch.manual_seed(0)
    model = MADE((1, 2, 2), LEVELS, hidden_sizes=(9,), num_orders=4)
    laws.stir(model, scale=0.7)
    states = KnownEntropy((1, 2, 2), LEVELS).enumerate()
    with torch.no_grad():
        each = torch.stack([model.log_prob_in(order, states).double().exp() for order in model.orders])
    assert torch.allclose(each.sum(1), torch.ones(4, dtype=torch.float64), atol=1e-5)
    assert (each[0] - each[1]).abs().max() > 1e-3, "all orders give the same"
    p = (-laws.nll(model, states).nats.double()).exp()
    assert torch.allclose(p, each.mean(0), rtol=1e-5)
    keys = model.sample(20_000, block=20_000).flatten(1).long() @ (LEVELS ** torch.arange(4))
    own = states.flatten(1).long() @ (LEVELS ** torch.arange(4))
    seen = torch.bincount(keys, minlength=LEVELS**4)[own].double()
    chi_square = float(((seen - 20_000 * p).square() / (20_000 * p)).sum())
    assert abs(chi_square - 80) < 5 * math.sqrt(160)


def test_all_orders_are_trained_and_none_but_the_reading_order_completes() -> None:
    torch.manual_seed(0)
    source = KnownEntropy((1, 2, 2), LEVELS, splits=SampleSizes(num_train=20_000, num_test=20_000), batch_size=200)
    model = MADE((1, 2, 2), LEVELS, hidden_sizes=(40,), num_orders=3, optimizer=adamw(lr=1e-2))
    laws.fit(model, source, 600)
    x = source.split("test").x
    with torch.no_grad():
        each = [-float(model.log_prob_in(order, x).mean()) / 4 / math.log(2) for order in model.orders]
    assert max(each) - source.entropy_bits_per_dim < 0.05
    with pytest.raises(UserError, match="num_orders=1 can"):
        model.complete(x[:2], 2, Noise(0, range(2)))
