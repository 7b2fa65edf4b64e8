"""Levels as numbers, and as learned features beside them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lit_gen.families import GatedPixelCNN
from lit_gen.families.autoregressive.level_features import LevelFeatures
from lit_gen.families.autoregressive.pixelwise import Pixelwise
from lit_gen.quantization import to_unit


def test_a_level_is_a_number_and_its_own_row_of_the_table() -> None:
    torch.manual_seed(0)
    features = LevelFeatures(5, 2)
    x = torch.randint(0, 5, (4, 3, 2, 6), dtype=torch.uint8)
    maps = features(x)
    assert maps.shape == (4, 9, 2, 6)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert features.learned is not None
    for channel in range(3):
        number, *learned = maps[:, 3 * channel : 3 * channel + 3].unbind(1)
        assert torch.equal(number, to_unit(x[:, channel], 5))
        assert torch.equal(torch.stack(learned, -1), features.learned[x[:, channel].long()])
        assert torch.equal(features.of(x[:, channel, 0, 0]), maps[:, 3 * channel : 3 * channel + 3, 0, 0])


def test_without_features_the_number_goes_in_alone() -> None:
    features = LevelFeatures(256, 0)
    x = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    assert torch.equal(features(x), to_unit(x, 256))
    assert not list(features.parameters())


def nats_of_a_copy(model: Pixelwise, steps: int) -> float:
    """What the second pixel costs after training on pairs of equal levels, drawn evenly: 0 where it is copied."""
    generator = torch.Generator().manual_seed(1)

    def pairs(n: int) -> Tensor:
        return torch.randint(0, model.num_levels, (n, 1, 1, 1), generator=generator).expand(-1, -1, -1, 2)

    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        adam.zero_grad()
        (-model.log_prob(pairs(100)).mean()).backward()
        adam.step()
    with torch.no_grad():
        return float(-model.log_prob(pairs(2_000)).mean()) - math.log(model.num_levels)


def test_a_level_can_be_said_again_where_its_neighbours_would_be_taken_for_it() -> None:
    nats = {}
    for count in (0, 8):
        torch.manual_seed(0)
        nats[count] = nats_of_a_copy(GatedPixelCNN((1, 1, 2), 64, level_features=count), 100)
    assert nats[8] < 0.1, nats
    assert nats[0] > 1.0, nats
