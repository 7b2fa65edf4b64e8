"""Whether samples are copies: how near they come to the training data, beside how near held-out data come."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.metrics.nearest import nearest_neighbours

_REFERENCES = 1_000  # held-out examples looked up, spread evenly over their split: enough for a median


@dataclass(frozen=True)
class Likeness:
    """Samples beside the training examples nearest to them.

    A median far below the held-out one says that samples are copies. It is a hint and no proof: a smooth image lies
    nearer to everything than a sharp one does, so look at the rows.

    Attributes:
        rows: uint8 ``[n, 1 + k, *shape]``: a sample and its neighbours, nearest first. The sample that lies nearest
            to the training data comes first.
        median: Of the distances from a sample to the nearest training example, in levels.
        held_out_median: The same for held-out examples.
        num_held_out: How many of them.

    References:
        Meehan, Chaudhuri, Dasgupta: A Non-Parametric Test to Detect Data-Copying in Generative Models, 2020,
        arXiv:2004.05675, which compares these two distances.
    """

    rows: Tensor
    median: float
    held_out_median: float
    num_held_out: int


def similarity(x_hat: Tensor, data: DiscreteDataModule, split: str, k: int, label: int | None = None) -> Likeness:
    """Looks samples up in the training data.

    Args:
        x_hat: Samples, levels ``[n, *shape]``.
        data: The data the model was trained on.
        split: The held-out split.
        k: Neighbours of each sample.
        label: The samples' class, if one was asked for: the held-out examples are then of that class too, for the
            classes differ in how near their members lie to each other.

    Raises:
        UserError: There are fewer training examples than neighbours, or none of that class is held out.
    """
    train = data.split("train").x
    if k > len(train):
        raise UserError(f"--k is {k}, and there are {len(train)} training images")
    held_out = _held_out(data, split, label)
    reference = nearest_neighbours(held_out, train, 1).distance
    found = nearest_neighbours(x_hat, train, k)
    order = found.distance[:, 0].argsort(stable=True)
    rows = torch.cat([x_hat[:, None], train[found.index.flatten()].unflatten(0, found.index.shape)], 1)
    return Likeness(
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
