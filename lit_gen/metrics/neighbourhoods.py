"""Distances between features in blocks: nearest neighbours, balls around them, and which points lie inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lit_gen.errors import UserError

BLOCK = 2048
"""Rows and columns of the distance matrix that are held at a time: 32 MiB in float64, and a few times that in all."""
_SLACK = 1e-12  # of the largest squared norm: distances that differ by rounding alone count as equal


def check_neighbours(name: str, k: int, what: str, count: int, num_groups: int) -> None:
    """Validates that there are more examples than neighbours, also without one group of them.

    Raises:
        UserError: There are not.
    """
    left = count - (-(-count // num_groups) if num_groups > 1 else 0)
    if not 1 <= k < left:
        raise UserError(f"{name}: k is {k}, and there are {count} {what}; give 1 to {max(1, left - 1)}, or more {what}")


class Nearest(NamedTuple):
    """The nearest example of each query.

    Attributes:
        squared: float64 [Q], squared Euclidean distance.
        row: int64 [Q], row of the example.
    """

    squared: Tensor
    row: Tensor


class Centred(NamedTuple):
    """Two sets of features with a common origin, which cancels fewer digits; distances stay as they are.

    Attributes:
        x: Features [M, D].
        y: Features [N, D].
        origin: float64 [D], the mean of y.
        slack: Difference of squared distances below which they count as equal.
    """

    x: Tensor
    y: Tensor
    origin: Tensor
    slack: float

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> Centred:
        """The sets x [M, D] and y [N, D], whose mean becomes the origin."""
        origin = sum((part.double().sum(0) for part in y.split(BLOCK)), y.new_zeros((), dtype=torch.float64)) / len(y)
        largest = max(float((part.double() - origin).square().sum(1).max()) for z in (x, y) for part in z.split(BLOCK))
        return cls(x, y, origin, _SLACK * largest)


def distance_blocks(pair: Centred, width: int = BLOCK) -> Iterator[tuple[int, int, Tensor]]:
    """Squared distances of all rows of x from all rows of y: (first row, first column, float64 [b, c]).

    Blocks of one range of rows follow each other, columns rising.

    Args:
        pair: The two sets.
        width: Number of columns of a block.
    """
    columns = range(0, len(pair.y), width)
    for row in range(0, len(pair.x), BLOCK):
        a = pair.x[row : row + BLOCK].double() - pair.origin
        norms = a.square().sum(1, keepdim=True)
        for column in columns:
            b = pair.y[column : column + width].double() - pair.origin
            squared = torch.addmm(norms + b.square().sum(1), a, b.T, alpha=-2)
            yield row, column, squared.clamp_(min=0)


def ball_radii(x: Tensor, k: int, num_groups: int = 1) -> tuple[Tensor, Tensor]:
    """Squared distance of each row from its k-th nearest other row, of all rows and without each group of them.

    Row i belongs to group i mod ``num_groups``. Each row keeps its k nearest in each group, from which all of these
    follow without another pass.

    Args:
        x: Features [N, D].
        k: Number of neighbours, below the number of rows outside any group.
        num_groups: Number of groups G.

    Returns:
        float64 [N]; and float64 [N, G], without group g.

    Raises:
        ValueError: There are not enough rows.
    """
    if not 1 <= k < len(x) - (-(-len(x) // num_groups) if num_groups > 1 else 0):
        raise ValueError(f"k is {k}, and there are {len(x)} rows in {num_groups} groups")
    pair, width = Centred.of(x, x), max(1, BLOCK // num_groups) * num_groups
    whole, without = [], []
    best = x.new_zeros(0, dtype=torch.float64)
    for row, column, squared in distance_blocks(pair, width):
        own = torch.arange(row, row + len(squared), device=x.device)
        here = (own >= column) & (own < column + squared.shape[1])
        squared[torch.nonzero(here).squeeze(1), own[here] - column] = torch.inf  # a row is not its own neighbour
        missing = -squared.shape[1] % num_groups
        grouped = torch.nn.functional.pad(squared, (0, missing), value=torch.inf).unflatten(1, (-1, num_groups))
        if column:
            grouped = torch.cat([best, grouped], 1)
        best = grouped.topk(min(k, grouped.shape[1]), dim=1, largest=False).values
        if column + width >= len(x):
            whole.append(_kth(best.flatten(1), k))
            without.append(torch.stack([_kth(_without(best, g).flatten(1), k) for g in range(num_groups)], 1))
    return torch.cat(whole), torch.cat(without)


def _without(best: Tensor, group: int) -> Tensor:
    """The entries [b, j, G] with one group's set to infinity."""
    entries = best.clone()
    entries[..., group] = torch.inf
    return entries


def _kth(entries: Tensor, k: int) -> Tensor:
    """The k-th smallest of each row [b]; infinity where there are fewer."""
    return entries.topk(k, dim=1, largest=False).values[:, -1] if entries.shape[1] >= k else entries.new_full(
        (len(entries),), torch.inf
    )


def nearest_pairs(queries: Tensor, examples: Tensor, exclude: Tensor | None = None) -> Nearest:
    """The nearest example of each query; the distance is computed again from differences, so that a copy's is 0.

    Args:
        queries: Features [Q, D].
        examples: Features [N, D].
        exclude: int64 [Q], a row of the examples that is not counted for each query; None for none.
    """
    pair = Centred.of(queries, examples)
    squared = queries.new_full((len(queries),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    for row, column, block in distance_blocks(pair):
        rows = slice(row, row + len(block))
        if exclude is not None:
            place = exclude[rows] - column
            here = (place >= 0) & (place < block.shape[1])
            block[torch.nonzero(here).squeeze(1), place[here]] = torch.inf
        found, where = block.min(1)
        closer = found < squared[rows]
        squared[rows] = torch.where(closer, found, squared[rows])
        index[rows] = torch.where(closer, where + column, index[rows])
    exact = [
        (a.double() - examples[i].double()).square().sum(1)
        for a, i in zip(queries.split(BLOCK), index.split(BLOCK), strict=True)
    ]
    return Nearest(torch.cat(exact), index)
