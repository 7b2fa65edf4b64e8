"""Which of many examples lie nearest, exactly and in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK_ELEMENTS = 1 << 22  # float64 numbers in the largest tensor of a block: 32 MiB


@dataclass(frozen=True)
class Neighbours:
    """The nearest examples of each query, the nearest first.

    Attributes:
        distance: float64 ``[Q, k]``, Euclidean.
        index: int64 ``[Q, k]``, rows of the examples; among equals the lower row comes first.
    """

    distance: Tensor
    index: Tensor


def nearest_neighbours(queries: Tensor, examples: Tensor, k: int) -> Neighbours:
    """The k examples nearest to each query, by Euclidean distance between levels.

    ``|q|^2 + |e|^2 - 2 q.e`` cancels, and would be wrong in its last digits where it matters most, beside a copy.
    Data are integers, though, and in float64 every term is one too: the squared distance is exact, and a copy's
    is 0. So is the order, whatever the blocks, in which both sets are taken to bound the memory.

    Args:
        queries: Integers uint8 ``[Q, *shape]``.
        examples: Integers uint8 ``[N, *shape]``; may be memory-mapped.
        k: At most N.

    Raises:
        ValueError: k is not in 1..N.

    >>> row = torch.tensor([[0], [10], [12]], dtype=torch.uint8)
    >>> found = nearest_neighbours(row[1:2], row, k=2)
    >>> found.index.tolist(), found.distance.tolist()
    ([[1, 2]], [[0.0, 2.0]])
    """
    if not 1 <= k <= len(examples):
        raise ValueError(f"k is {k}, and there are {len(examples)} examples")
    size = max(1, queries[0].numel())
    found = [_nearest(block, examples, k) for block in queries.flatten(1).split(max(1, _BLOCK_ELEMENTS // size))]
    key = torch.cat(found)
    return Neighbours((key // len(examples)).double().sqrt(), key % len(examples))


def _nearest(queries: Tensor, examples: Tensor, k: int) -> Tensor:
    """For one block of queries ``[Q, D]``: ``squared distance * N + row``, int64 ``[Q, k]`` in rising order.

    One number for both, so that the order among equal distances is the rows' and not an algorithm's.
    """
    q = queries.double()
    block = max(1, _BLOCK_ELEMENTS // max(q.shape))
    best = torch.empty(len(q), 0, dtype=torch.int64)
    for first in range(0, len(examples), block):
        e = examples[first : first + block].flatten(1).double()
        squared = q.square().sum(1, keepdim=True) + e.square().sum(1) - 2 * q @ e.T
        key = squared.long() * len(examples) + torch.arange(first, first + len(e))
        both = torch.cat([best, key], 1)
        best = both.topk(min(k, both.shape[1]), largest=False).values
    return best
