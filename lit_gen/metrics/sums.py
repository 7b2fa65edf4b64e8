"""What is kept of a set of features: sums that stream, add and travel between ranks."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self, TypeVar

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """A number with its standard error."""

    value: float
    standard_error: float


@dataclasses.dataclass(frozen=True)
class Sums(abc.ABC):
    """Tensors that are plain sums over examples, float64, of one size no matter how many examples there are.

    The sums of two sets add up to the sums of their union, and an all-reduce over ranks gives those of the whole.
    """

    @abc.abstractmethod
    def update(self, features: Tensor) -> None:
        """Adds the features of examples ``[B, ...]``, in place."""

    @property
    @abc.abstractmethod
    def complete(self) -> bool:
        """Whether there is enough, and nothing but numbers, to measure a distance from."""

    def tensors(self) -> dict[str, Tensor]:
        """The sums by their names."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def map(self, transform: Callable[[Tensor], Tensor]) -> Self:
        """The same with every tensor transformed: an all-reduce, a move to another device."""
        return type(self)(*(transform(tensor) for tensor in self.tensors().values()))

    def __add__(self, other: Self) -> Self:
        return type(self)(*(a + b for a, b in self._pairs(other)))

    def __sub__(self, other: Self) -> Self:
        """The sums of what is left when a subset is taken out."""
        return type(self)(*(a - b for a, b in self._pairs(other)))

    def _pairs(self, other: Self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.tensors().values(), other.tensors().values(), strict=True))


AnySums = TypeVar("AnySums", bound=Sums)


def jackknife(groups: Sequence[AnySums], distance: Callable[[AnySums], float]) -> Estimate:
    """A distance of the groups' union, with a delete-one-group jackknife error.

    The error says how the distance would spread if as many new samples were drawn. With G groups and the
    distances d_g without group g it is sqrt((G - 1) / G * sum_g (d_g - mean d)^2); being itself an estimate from
    G values, it is good to about 1 / sqrt(2 (G - 1)) of itself, a quarter for G = 10.

    Args:
        groups: sums of disjoint groups of samples, of sizes as equal as can be.
        distance: of sums, on the CPU, from what is held fixed.

    Raises:
        ValueError: for fewer than 2 groups, or what the distance refuses.

    References:
        Efron and Stein 1981, The jackknife estimate of variance, https://doi.org/10.1214/aos/1176345462.
    """
    if len(groups) < 2:
        raise ValueError("a jackknife needs 2 groups or more")
    groups = [group.map(lambda tensor: tensor.detach().cpu()) for group in groups]
    whole = groups[0]
    for group in groups[1:]:
        whole = whole + group
    without = torch.tensor([distance(whole - group) for group in groups], dtype=torch.float64)
    variance = (len(groups) - 1) * without.var(correction=0)
    return Estimate(distance(whole), math.sqrt(variance))
