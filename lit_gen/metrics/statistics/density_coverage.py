"""Density and coverage of samples: how many neighbourhoods of the data hold a sample, and what share of them any."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.metrics.neighbourhoods import Centred, distance_blocks
from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.kept_features import check_kept
from lit_gen.metrics.statistics.neighbour_balls import NeighbourBalls
from lit_gen.metrics.statistics.statistic import NUM_GROUPS
from lit_gen.metrics.sums import jackknife_error


class DensityCoverage(NeighbourBalls):
    """Density and coverage: how many data's neighbourhoods hold a sample, and what share of them holds any.

    Each reference example has a ball through its k-th nearest other example, the surface excluded (<). Density is the
    mean over samples of the number of balls around it, divided by k; it may exceed 1. Coverage is the share of balls
    that hold a sample. Equal to the package prdc. Where the distributions agree, density is 1 in expectation, and
    coverage 1 - 2^-k or so for as many samples as examples.

    Standard errors are over redrawn samples, the reference held fixed: density is a mean over independent samples;
    coverage's is a delete-one-group jackknife's.

    Memory: that of :class:`KeptFeatures`, and about 250 MB for blocks of distances, whatever the numbers.

    Args:
        num_features: Number of features D.
        reference: Another instance's ``summary()``, of the real data.
        num_samples: Number of samples m that there will be over all processes.
        k: Number of neighbours; 5 in the paper.
        num_groups: Number of groups of the jackknife.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.

    Raises:
        UserError: There are too few reference examples for k neighbours.

    References:
        Naeem et al. 2020, Reliable fidelity and diversity metrics for generative models,
        https://arxiv.org/abs/2002.09797, equations 4 and 5.
    """

    rule = "<"
    scores = (
        ScoreSpec("density", "density", higher_is_better=True, decimals=3),
        ScoreSpec("coverage", "coverage", higher_is_better=True, decimals=3),
    )

    def __init__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_samples: int,
        k: int = 5,
        num_groups: int = NUM_GROUPS,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_features, reference, num_samples=num_samples, num_groups=num_groups, **kwargs)
        if k < 1:
            raise UserError(f"DensityCoverage: k is {k}; give at least 1")
        self.k = k

    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes ``density`` and ``coverage`` with their standard errors.

        Raises:
            ValueError: There is no reference; samples are missing or came twice; features are not finite.
        """
        check_kept(self)
        y, radius = (self.reference[name].to(self.device) for name in ("features", "radius"))
        group = self.group(torch.arange(self.num_samples))
        member = torch.nn.functional.one_hot(group, self.num_groups).double()
        pair = Centred.of(self.features, y)
        count = torch.zeros(self.num_samples, dtype=torch.float64, device=self.device)
        held = torch.zeros(len(y), self.num_groups, dtype=torch.float64, device=self.device)
        for row, column, squared in distance_blocks(pair):
            rows, columns = slice(row, row + len(squared)), slice(column, column + squared.shape[1])
            inside = (squared + pair.slack < radius[columns]).double()
            count[rows] += inside.sum(1)
            held[columns] += inside.T @ member[rows]
        total = held.sum(1, keepdim=True)
        covered, without = (total > 0).double().mean(), (total - held > 0).double().mean(0)
        density = count / self.k
        return {
            "density": density.mean(),
            "density_se": density.std() / math.sqrt(self.num_samples),
            "coverage": covered,
            "coverage_se": jackknife_error(without.tolist()),
        }
