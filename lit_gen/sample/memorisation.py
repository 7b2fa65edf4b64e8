"""Detects copied training data: distances of samples to the training data, compared with those of held-out data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.metrics.nearest import nearest_neighbours

_REFERENCES = 1_000  # number of held-out examples, evenly spread over their split; enough for a median


@dataclass(frozen=True)
class TrainingNeighbours:
    """Samples with their nearest training examples.

    A median far below the held-out one indicates that samples are copies. It is no proof: a smooth image is closer to
    everything than a sharp one, so inspect the rows.

    Attributes:
        rows: Samples with their neighbours, nearest first, uint8 ``[n, 1 + k, *shape]``. The sample closest to the
            training data comes first.
        median: Median distance from a sample to the nearest training example, in units of the integers.
        held_out_median: The same for held-out examples.
        num_held_out: Number of held-out examples.

    References:
        Meehan, Chaudhuri, Dasgupta: A Non-Parametric Test to Detect Data-Copying in Generative Models, 2020,
        arXiv:2004.05675, which compares these two distances.
    """

    rows: Tensor
    median: float
    held_out_median: float
    num_held_out: int


def training_neighbours(
    x_hat: Tensor, data: DiscreteDataModule, split: str, k: int, label: int | None = None
) -> TrainingNeighbours:
    """Finds the nearest training examples of samples.

    Args:
        x_hat: Samples, integers ``[n, *shape]``.
        data: The data the model was trained on.
        split: The held-out split.
        k: Number of neighbours of each sample.
        label: Class of the samples, if they are class-conditional: the held-out examples are then of that class too,
            because distances within classes differ.

    Raises:
        UserError: If there are fewer training examples than neighbours, or no held-out example of that class.
    """
    train = data.split("train").x
    if k > len(train):
        raise UserError(f"--k is {k}, but there are only {len(train)} training images")
    held_out = _held_out(data, split, label)
    reference = nearest_neighbours(held_out, train, 1).distance
    found = nearest_neighbours(x_hat, train, k)
    order = found.distance[:, 0].argsort(stable=True)
    rows = torch.cat([x_hat[:, None], train[found.index.flatten()].unflatten(0, found.index.shape)], 1)
    return TrainingNeighbours(
        rows[order], _median(found.distance[:, 0]), _median(reference[:, 0]), len(held_out)
    )


def _held_out(data: DiscreteDataModule, split: str, label: int | None) -> Tensor:
    whole = data.split(split)  # type: ignore[arg-type]  # the option's choices are names of splits
    rows = torch.arange(len(whole.x))
    if label is not None and whole.label is not None:
        rows = rows[whole.label == label]
        if not len(rows):
            raise UserError(f"--label {label}: the {split} split has no image of that class to compare with")
    count = min(len(rows), _REFERENCES)
    return whole.x[rows[torch.arange(count) * len(rows) // count]]


def _median(values: Tensor) -> float:
    return float(values.quantile(0.5))  # torch's median is the lower of the two middle ones
