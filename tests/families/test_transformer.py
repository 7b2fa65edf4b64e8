"""The causal transformer as a family: any shape, samples from its cache, and what decays."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import yaml
from torch import Tensor

from lit_gen.data import KnownEntropy
from lit_gen.errors import UserError
from lit_gen.families import Transformer

from . import conformance as laws
from . import sequences
from .conformance import adamw

SHAPES = [(2, 3, 2), (1, 3, 5), (1, 9), (9,)]
OPTIONS = [{"positions": "learned"}, {"positions": "rotary"}, {"positions": "rotary", "num_classes": 3}]
CASES = list(product(SHAPES, OPTIONS))


def stirred(shape: tuple[int, ...], **options: object) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(shape, 3, width=12, **options)  # type: ignore[arg-type]
    laws.stir(model, scale=0.3)
    return model.eval()


@pytest.mark.parametrize(("shape", "options"), CASES, ids=str)
def test_the_cache_draws_what_full_passes_draw(
    shape: tuple[int, ...], options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences.assert_the_cache_draws_what_full_passes_draw(stirred(shape, **options), monkeypatch)


@pytest.mark.parametrize(("shape", "options"), CASES, ids=str)
def test_log_probs_are_those_of_the_logits(shape: tuple[int, ...], options: dict[str, object]) -> None:
    sequences.assert_log_probs_are_those_of_the_logits(stirred(shape, **options))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_samples_occur_as_often_as_they_are_likely(options: dict[str, object]) -> None:
    sequences.assert_samples_occur_as_often_as_they_are_likely(stirred((2, 1, 2), **options))


def test_the_known_entropy_is_reached() -> None:
    torch.manual_seed(0)
    sequences.assert_the_known_entropy_is_reached(Transformer((1, 2, 2), 3, positions="rotary"), 500)


@pytest.mark.parametrize(("shape", "width", "expected"), [((1, 28, 28), 64, 250), ((3, 32, 32), 512, 50)])
def test_samples_are_drawn_as_many_at_a_time_as_the_cache_has_room_for(
    shape: tuple[int, ...], width: int, expected: int
) -> None:
    with torch.device("meta"):
        model = Transformer(shape, 256, width=width, num_blocks=6, num_heads=8)
    held = 4 * model.cache(expected, None).layers[0].cache.numel() * 6  # type: ignore[attr-defined]
    assert model.sample_block == expected
    assert held < 1 << 32, "bytes"
    assert expected == 250 or held > 1 << 31


def test_channels_of_a_pixel_follow_one_another() -> None:
    """The second channel of a pixel sees its first, and no channel sees the next pixel."""
    model, x = stirred((2, 1, 3)), torch.zeros(1, 2, 1, 3, dtype=torch.uint8)
    with torch.no_grad():
        before = model.logits(x)
        x[0, 0, 0, 1] = 1
        changed = (model.logits(x) - before).abs().amax((0, 1)) > 1e-6
    assert changed.flatten(1).tolist() == [[False, False, True], [False, True, True]]


def test_matrices_decay_and_gains_do_not() -> None:
    model = Transformer((4,), 3, optimizer=adamw(lr=0.1, weight_decay=0.5))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = model.configure_optimizers()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        kept = 1.0 if name.endswith(("norm.weight", "norm_attention.weight", "norm_mlp.weight")) else 0.95
        assert torch.allclose(parameter, kept * before[name], atol=1e-7), name


def test_the_configuration_is_the_base_model() -> None:
    """Vaswani et al. 2017, table 3: 6 blocks of 12 x 512^2 weights."""
    options = yaml.safe_load((laws.CONFIGS / "families/autoregressive/transformer.yaml").read_text())
    with torch.device("meta"):
        model = Transformer((1, 28, 28), 256, **options["model"]["init_args"])
    blocks = sum(p.numel() for p in model.net.blocks.parameters() if p.ndim == 2)
    assert blocks == 6 * 12 * 512**2 == 18_874_368
    rest = 256 * 512 + 512 + 784 * 512 + 13 * 512 + 512 * 256  # symbols, start, positions, gains, head
    assert sum(p.numel() for p in model.parameters()) == blocks + rest


def test_a_score_of_samples_says_that_they_are_of_classes() -> None:
    """Models that are told a class stand in a column of their own."""
    assert Transformer((1, 4), 3, num_classes=3).sampler_settings()["class_conditional"] is True
    assert "class_conditional" not in Transformer((1, 4), 3).sampler_settings()


def test_a_class_conditional_model_learns_the_classes() -> None:
    """Level c in class c: after a few steps a class's own data are the likelier by far."""
    torch.manual_seed(0)
    model = Transformer((1, 4), 3, num_classes=3, optimizer=adamw(lr=1e-2))
    label = torch.arange(3).repeat(20)
    x = label[:, None, None].expand(-1, 1, 4).to(torch.uint8)
    optimizer = model.configure_optimizers()
    for _ in range(60):
        loss: Tensor = model.training_step((x, label, label), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    assert model.log_prob(x, label).mean() > -0.2
    assert model.log_prob(x, (label + 1) % 3).mean() < -1
    for c in range(3):
        assert (model.sample(50, label=c) == c).float().mean() > 0.9


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="dropout=1"):
        Transformer((4,), 3, dropout=1.0)
    source = KnownEntropy((1, 2, 2), 3)
    with pytest.raises(UserError, match="no labels"):
        laws.fit(Transformer((1, 2, 2), 3, num_classes=2), source, 1)
