"""The digits, in the published order; and binarisation on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.data import Digits, Loader
from lit_gen.data.binarize import bernoulli, bernoulli_by_noise, threshold
from lit_gen.noise import Noise

SPLITS = {"train": slice(0, 1000), "val": slice(1000, 1350), "test": slice(1350, None)}


def test_splits_are_the_published_ones_in_file_order():
    from sklearn.datasets import load_digits

    bunch, data = load_digits(), Digits()
    assert (data.name, data.shape, data.num_levels) == ("digits", (1, 8, 8), 17)
    for name, rows in SPLITS.items():
        split = data.split(name)
        assert split.x.dtype == torch.uint8
        assert np.array_equal(split.x.numpy()[:, 0], bunch.images[rows])
        assert split.label.tolist() == bunch.target[rows].tolist()
    assert [len(data.split(name).x) for name in SPLITS] == [1000, 350, 447]


def test_threshold_is_static_and_named():
    data, grey = Digits(binarize="threshold"), Digits()
    assert (data.name, data.num_levels) == ("digits_binary_static", 2)
    for name in SPLITS:
        assert torch.equal(data.split(name).x, (grey.split(name).x > 8).to(torch.uint8))
    loader = data.train_dataloader()
    assert all(torch.equal(batch.x, data.split("train").x[batch.index]) for batch in loader)


def test_threshold_of_256_levels_is_above_127():
    assert threshold(torch.arange(256).to(torch.uint8), 256).tolist() == [0] * 128 + [1] * 128


DRAWS = [
    lambda x, num_levels: bernoulli(x, num_levels, np.random.default_rng(0)),
    lambda x, num_levels: bernoulli_by_noise(x, num_levels, Noise(0, range(len(x)))),
]


@pytest.mark.parametrize("draw", DRAWS, ids=["data", "noise"])
@pytest.mark.parametrize("num_levels", [2, 17, 256])
def test_bernoulli_has_the_right_mean_at_every_level(num_levels: int, draw: Callable[[Tensor, int], Tensor]):
    n = 20_000
    x = torch.arange(num_levels).to(torch.uint8).repeat(n, 1)
    drawn = draw(x, num_levels).float().mean(0)
    p = torch.arange(num_levels) / (num_levels - 1)
    assert drawn[0] == 0
    assert drawn[-1] == 1
    assert ((drawn - p).abs() <= 5 * (p * (1 - p) / n).sqrt()).all()


def test_dynamic_training_is_redrawn_from_the_greys():
    data = Digits(binarize="dynamic", batch_size=100)
    assert (data.name, data.num_levels) == ("digits_binary_dynamic", 2)
    loader, total = data.train_dataloader(), torch.zeros(1000, 1, 8, 8)
    for _ in range(400):
        for batch in loader:
            assert batch.x.max() <= 1
            total[batch.index] += batch.x
    p = Digits().split("train").x / 16
    assert (total[p == 0] == 0).all()
    z = (total / 400 - p)[(p > 0) & (p < 1)] / (p * (1 - p) / 400)[(p > 0) & (p < 1)].sqrt()
    assert abs(float(z.mean())) < 0.05
    assert 0.95 < float(z.var()) < 1.05


def test_dynamic_evaluation_is_one_draw_for_all():
    one, other = Digits(binarize="dynamic"), Digits(binarize="dynamic", loader=Loader(seed=5), batch_size=10)
    for name in ("val", "test"):
        assert torch.equal(one.split(name).x, other.split(name).x)
        assert one.fingerprint(name) == other.fingerprint(name)
    twice = [torch.cat([batch.x for batch in one.test_dataloader()]) for _ in range(2)]
    assert torch.equal(*twice)
    assert torch.equal(twice[0], one.split("test").x)


def test_dynamic_train_fingerprint_covers_greys_rule_and_seed():
    prints = {
        Digits(binarize="dynamic").fingerprint("train"),
        Digits(binarize="dynamic", loader=Loader(seed=1)).fingerprint("train"),
        Digits(binarize="threshold").fingerprint("train"),
        Digits().fingerprint("train"),
    }
    assert len(prints) == 4
    assert Digits(binarize="dynamic", batch_size=9).fingerprint("train") in prints
