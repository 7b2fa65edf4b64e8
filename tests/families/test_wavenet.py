"""WaveNet as a family: any shape, samples from its queues, also past its receptive field."""

from __future__ import annotations

import math
import time
from itertools import product

import pytest
import torch
import yaml

from lit_gen.families import WaveNet
from lit_gen.noise import Noise

from . import conformance as laws
from . import sequences
from .conformance import adamw

# The receptive field is 8: the last ones are longer, by far.
SHAPES = [(2, 3, 2), (1, 2, 3), (1, 50), (30,)]
OPTIONS: list[dict[str, int]] = [{}, {"num_classes": 3}]
CASES = list(product(SHAPES, OPTIONS))


def stirred(shape: tuple[int, ...], **options: int) -> WaveNet:
    torch.manual_seed(0)
    model = WaveNet(shape, 3, **options)
    laws.stir(model)
    return model.eval()


@pytest.mark.parametrize(("shape", "options"), CASES, ids=str)
def test_the_queues_draw_what_full_passes_draw(
    shape: tuple[int, ...], options: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = stirred(shape, **options)
    assert model.net.receptive_field == 8
    sequences.assert_the_cache_draws_what_full_passes_draw(model, monkeypatch)


@pytest.mark.parametrize(("shape", "options"), CASES, ids=str)
def test_log_probs_are_those_of_the_logits(shape: tuple[int, ...], options: dict[str, int]) -> None:
    sequences.assert_log_probs_are_those_of_the_logits(stirred(shape, **options))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_samples_occur_as_often_as_they_are_likely(options: dict[str, int]) -> None:
    sequences.assert_samples_occur_as_often_as_they_are_likely(stirred((2, 1, 2), **options))


def test_the_known_entropy_is_reached() -> None:
    torch.manual_seed(0)
    sequences.assert_the_known_entropy_is_reached(WaveNet((1, 4), 3, channels=32), 600)


def test_a_rule_within_the_receptive_field_is_learnt_and_one_beyond_is_not() -> None:
    """Each sample repeats the one so many steps before: a pulse that a shorter memory cannot know."""
    costs = {}
    for lag in (8, 9):
        torch.manual_seed(0)
        model = WaveNet((1, 40), 2, channels=16, optimizer=adamw(lr=3e-3))
        optimizer = model.configure_optimizers()
        generator = torch.Generator().manual_seed(2)
        for _ in range(300):
            start = torch.randint(0, 2, (32, 1, lag), generator=generator, dtype=torch.uint8)
            x = start.repeat(1, 1, 5)[:, :, :40]
            loss = -model.log_prob(x).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        costs[lag] = loss.item() / math.log(2)
    assert costs[8] < 8 + 2, "bits: the first 8, and little more"
    assert costs[9] > 36


def test_the_queues_are_far_faster_than_full_passes() -> None:
    """In processor time: a call must not cost more the longer the sequence. The figures are the benchmark's."""
    model = stirred((1, 1500))
    full = model.naive_conditionals(2)
    began = time.process_time()
    for i in range(3):
        full.next(torch.zeros(2, dtype=torch.long) if i else None)
    naive = (time.process_time() - began) / 3
    began = time.process_time()
    model.generate(Noise(0, range(2)))
    assert (time.process_time() - began) / 1500 < naive / 4


def test_the_configuration_is_the_papers() -> None:
    options = yaml.safe_load((laws.CONFIGS / "families/autoregressive/wavenet.yaml").read_text())
    with torch.device("meta"):
        model = WaveNet((1, 8000), 256, **options["model"]["init_args"])
    assert [layer.dilation for layer in model.net.layers] == [2**i for _ in range(3) for i in range(10)]
    assert model.net.receptive_field == 3_071
    symbols, taps, carries = 2 * 256 * 64, 30 * (2 * 64 * 128 + 128), 29 * 64**2
    head = 30 * 64 * 256 + 256 + 2 * (256 * 256 + 256)
    assert sum(p.numel() for p in model.parameters()) == symbols + taps + carries + head == 1_270_272
