"""PixelCNN and Gated PixelCNN: colour, classes, dilations, and samplers that compute each column once."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.errors import UserError
from lit_gen.families import GatedPixelCNN, PixelCNN
from lit_gen.families.autoregressive import draw
from lit_gen.families.autoregressive.pixelwise import Pixelwise
from lit_gen.likelihood import bernoulli_log_prob
from lit_gen.noise import Noise

from . import conformance as laws
from .conformance import adamw

# Colour, odd sizes, one row, one column, narrower and lower than the kernels; features that colours do not divide.
MODELS: dict[str, Callable[[], Pixelwise]] = {
    "grey": lambda: PixelCNN((1, 3, 5), 3),
    "two-colours": lambda: PixelCNN((2, 5, 3), 4, channels=5, num_blocks=3, kernel_size=3),
    "three-colours": lambda: PixelCNN((3, 3, 2), 2, channels=4, num_blocks=1, head_channels=3, kernel_size=5),
    "no-blocks": lambda: PixelCNN((1, 4, 4), 2, num_blocks=0),
    "level-features": lambda: PixelCNN((3, 3, 2), 4, channels=4, num_blocks=1, kernel_size=5, level_features=2),
    "one-row": lambda: PixelCNN((1, 1, 6), 3),
    "gated": lambda: GatedPixelCNN((1, 3, 5), 3),
    "gated-two-colours": lambda: GatedPixelCNN((2, 3, 5), 3, channels=5),
    "gated-features": lambda: GatedPixelCNN((2, 3, 5), 4, channels=6, level_features=3, num_classes=2),
    "gated-classes": lambda: GatedPixelCNN((1, 5, 3), 4, channels=6, num_classes=3),
    "gated-wide": lambda: GatedPixelCNN((1, 6, 7), 2, channels=6, kernel_size=5, first_kernel_size=3),
    "dilated": lambda: GatedPixelCNN((1, 9, 7), 3, channels=6, dilations=(1, 2, 4, 1)),
    "dilated-wide": lambda: GatedPixelCNN((3, 5, 6), 2, channels=7, dilations=(2, 3), kernel_size=5, num_classes=2),
    "one-column": lambda: GatedPixelCNN((1, 6, 1), 3, dilations=(1, 2)),
}


def stirred(name: str, scale: float = 0.2) -> Pixelwise:
    torch.manual_seed(0)
    model = MODELS[name]()
    laws.stir(model, scale=scale)
    return model.eval()


def labels(model: Pixelwise, n: int) -> Tensor | None:
    return torch.arange(n) % model.num_classes if model.num_classes else None


# ------------------------------------------------------------------ samplers


@pytest.mark.parametrize("name", MODELS)
def test_columns_are_the_naive_pass(name: str) -> None:
    """The logits of every dimension, and the draw that each uniform number makes of them."""
    model, n = stirred(name), 12
    label, u = labels(model, n), Noise(5, range(n)).uniform(model.num_dims)
    cached, naive = model.conditionals(n, label), model.naive_conditionals(n, label)
    value: Tensor | None = None
    with torch.no_grad():
        for i in range(model.num_dims):
            expected, found = naive.next(value), cached.next(value)
            assert torch.allclose(found, expected, atol=1e-5)
            value = draw(expected, u[:, i], 1.0)
            assert torch.equal(draw(found, u[:, i], 1.0), value)
            if i == model.num_dims // 2:
                assert expected.std(0).max() > 1e-3, "images of a batch are alike, so that this shows little"


def test_two_samplers_of_one_model_do_not_share_what_they_keep() -> None:
    model = stirred("gated")
    first, second = model.conditionals(4), model.conditionals(4)
    kept = first.next(None).clone()
    second.next(None)
    for value in (0, 2, 1):
        second.next(torch.full((4,), value))
    assert torch.equal(model.conditionals(4).next(None), kept)
    one, other = model.conditionals(4), model.naive_conditionals(4)
    for value in (None, torch.zeros(4, dtype=torch.long), torch.full((4,), 2)):
        with torch.no_grad():
            assert torch.allclose(one.next(value), other.next(value), atol=1e-5)


def test_the_log_prob_is_float32_under_autocast() -> None:
    model, x = stirred("gated"), torch.zeros(3, 1, 3, 5, dtype=torch.uint8)
    plain = model.log_prob(x)
    with torch.autocast("cpu", torch.bfloat16):
        low = model.log_prob(x)
    assert low.dtype == torch.float32
    assert torch.allclose(low, plain, rtol=0.05)
    assert not torch.equal(low, plain)


@pytest.mark.parametrize("family", [PixelCNN, GatedPixelCNN])
def test_samples_of_a_trained_model_occur_as_often_as_they_are_likely(family: type[Pixelwise]) -> None:
    torch.manual_seed(0)
    shape = (2, 1, 3)
    source = KnownEntropy(shape, 2, splits=SampleSizes(num_train=4_000, num_test=100), batch_size=100)
    model = family(shape, 2, channels=8, head_channels=8, optimizer=adamw(lr=1e-2))  # type: ignore[call-arg]
    laws.fit(model, source, 60)
    states = source.enumerate()
    p = (-laws.nll(model, states).nats.double()).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    assert p.max() > 4 * p.min(), "it has learned something"
    n, code = 20_000, 2 ** torch.arange(6)
    seen = torch.bincount(model.sample(n, block=n).flatten(1).long() @ code, minlength=64)
    seen = seen[states.flatten(1).long() @ code].double()
    chi_square = float(((seen - n * p).square() / (n * p)).sum())
    assert abs(chi_square - 63) < 5 * math.sqrt(2 * 63)


# ------------------------------------------------------------------ likelihood


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("family", [PixelCNN, GatedPixelCNN])
def test_colour_probabilities_sum_to_one(family: type[Pixelwise], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = family(shape, 2)
    laws.stir(model, scale=0.4)
    laws.assert_mass_is_lawful(model, KnownEntropy(shape, 2, splits=SampleSizes(num_test=10)).enumerate(), "chain-rule")


def test_each_class_has_probabilities_that_sum_to_one() -> None:
    torch.manual_seed(0)
    model = GatedPixelCNN((1, 2, 2), 3, num_classes=2)
    states = KnownEntropy((1, 2, 2), 3, splits=SampleSizes(num_test=10)).enumerate()
    same = [model.log_prob(states, torch.full((81,), c)) for c in range(2)]
    assert torch.equal(same[0], same[1]), "classes start alike"
    laws.stir(model, scale=0.4)
    with torch.no_grad():
        each = torch.stack([model.log_prob(states, torch.full((81,), c)).double().exp() for c in range(2)])
    assert torch.allclose(each.sum(1), torch.ones(2, dtype=torch.float64), atol=1e-5)
    assert (each[0] - each[1]).abs().max() > 1e-3


def test_a_class_moves_every_gate_of_both_stacks() -> None:
    """Equation 4: with all else at zero, a gate is that of the class's two numbers."""
    model = GatedPixelCNN((1, 3, 3), 2, channels=4, dilations=(1,), num_classes=2)
    layer = model.net.layers[0]  # type: ignore[union-attr, index]
    laws.stir(model)
    with torch.no_grad():
        for part in (layer.vertical, layer.link, layer.horizontal):
            for parameter in part.parameters():
                parameter.zero_()
        label, zero = torch.tensor([0, 1]), torch.zeros(2, 4, 3, 3)
        v, h = layer(zero, zero, label)
        tanh, sigmoid = layer.classes[1, label].chunk(2, 1)
        gated = (tanh.tanh() * sigmoid.sigmoid())[..., None, None].expand(2, 4, 3, 3)
        assert torch.allclose(h, layer.out(gated), atol=1e-6)
        assert torch.allclose(v, layer.classes[0, label][..., None, None].expand_as(v), atol=1e-6)


def test_two_levels_are_a_bernoulli_and_many_a_softmax_whose_first_logit_is_0() -> None:
    torch.manual_seed(0)
    model, x = PixelCNN((1, 4, 4), 2), torch.randint(0, 2, (5, 1, 4, 4), dtype=torch.uint8)
    laws.stir(model)
    logits = model.logits(x)
    assert torch.equal(logits[:, 0], torch.zeros_like(logits[:, 0]))
    assert torch.allclose(model.log_prob(x), bernoulli_log_prob(logits[:, 1], x), atol=1e-5)
    colour = stirred("two-colours")
    x = torch.randint(0, 4, (6, 2, 5, 3), dtype=torch.uint8)
    each = colour.logits(x).log_softmax(1).gather(1, x[:, None].long())
    assert torch.allclose(colour.log_prob(x), each.flatten(1).sum(1), atol=1e-4)


def test_images_only() -> None:
    for family in (PixelCNN, GatedPixelCNN):
        for shape in ((1, 4), (128,)):
            with pytest.raises(UserError, match=r"models images \(C, H, W\), not data of shape \(1"):
                family(shape, 3)
