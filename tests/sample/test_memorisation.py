"""Copies of training images are found, and the reference they are judged by is the right one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.data import Digits
from lit_gen.sample.memorisation import training_neighbours


def digits(split: str = "test") -> Tensor:
    return Digits().split(split).x  # type: ignore[arg-type]


def median_by_hand(x: Tensor, train: Tensor) -> float:
    return float(np.median(torch.cdist(x.flatten(1).double(), train.flatten(1).double()).amin(1).numpy()))


def test_copies_are_found_and_come_first() -> None:
    train, data = digits("train"), Digits()
    copies = train[[700, 5, 41]]
    found = training_neighbours(torch.cat([digits()[:3], copies]), data, "test", k=4)
    assert found.rows.shape == (6, 5, 1, 8, 8)
    assert torch.equal(found.rows[:3, 0], copies), "the nearest samples come first, in their own order among equals"
    assert torch.equal(found.rows[:3, 1], copies), "each beside itself"
    assert training_neighbours(copies, data, "test", k=1).median == 0
    distances = (found.rows[:, 1:].double() - found.rows[:, :1].double()).flatten(2).norm(dim=2)
    assert torch.equal(distances, distances.sort(dim=1).values), "neighbours, nearest first"
    assert torch.equal(distances[:, 0], distances[:, 0].sort().values), "and samples, too"
    assert found.held_out_median == pytest.approx(median_by_hand(digits(), train))
    assert found.num_held_out == 447


def test_held_out_images_are_of_the_split_and_of_the_class() -> None:
    data, train = Digits(), digits("train")
    for split in ("val", "test"):
        whole = data.split(split)  # type: ignore[arg-type]
        assert whole.label is not None
        fours = whole.x[whole.label == 4]
        found = training_neighbours(train[:2], data, split, k=1, label=4)
        assert found.num_held_out == len(fours) < len(whole.x) / 5
        assert found.held_out_median == pytest.approx(median_by_hand(fours, train))


def test_large_split_is_represented_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_gen.sample.memorisation._REFERENCES", 149)
    found = training_neighbours(digits("train")[:1], Digits(), "test", k=1)
    assert found.num_held_out == 149
    assert found.held_out_median == pytest.approx(median_by_hand(digits()[::3], digits("train")))
