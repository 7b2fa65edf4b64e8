"""Precision and recall of samples: which lie among the data, and which data lie among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.neighbourhoods import Centred, ball_radii, check_neighbours, distance_blocks
from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.kept_features import check_kept
from lit_gen.metrics.statistics.neighbour_balls import NeighbourBalls
from lit_gen.metrics.statistics.statistic import NUM_GROUPS
from lit_gen.metrics.sums import jackknife_error


class PrecisionRecall(NeighbourBalls):
    """Improved precision and recall: shares of samples and of data inside the other set's neighbourhoods.

    A set's neighbourhood is the union of balls around its points, each through the point's k-th nearest neighbour in
    the set, the ball's surface included (<=). Precision is the share of samples inside the reference's neighbourhood,
    recall the share of reference examples inside the samples'. Equal to torch-fidelity's. Both depend on the numbers
    of samples and of examples: recall grows with the former, precision with the latter.

    Standard errors are over redrawn samples, the reference held fixed: precision is a share of independent samples;
    recall's is a delete-one-group jackknife's.

    Memory: that of :class:`KeptFeatures`, and about 250 MB for blocks of distances, whatever the numbers.

    Args:
        num_features: Number of features D.
        reference: Another instance's ``summary()``, of the real data.
        num_samples: Number of samples m that there will be over all processes.
        k: Number of neighbours; 3 in the paper.
        num_groups: Number of groups of the jackknife.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.

    Raises:
        UserError: There are too few samples, or reference examples, for k neighbours.

    References:
        Kynkaanniemi et al. 2019, Improved precision and recall metric for assessing generative models,
        https://arxiv.org/abs/1904.06991, equations 1 and 2.
    """

    rule = "<="
    scores = (
        ScoreSpec("precision", "precision", higher_is_better=True, decimals=3),
        ScoreSpec("recall", "recall", higher_is_better=True, decimals=3),
    )

    def __init__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_samples: int,
        k: int = 3,
        num_groups: int = NUM_GROUPS,
        **kwargs: Any,
    ) -> None:
        check_neighbours("PrecisionRecall", k, "samples", num_samples, num_groups)
        super().__init__(num_features, reference, num_samples=num_samples, num_groups=num_groups, **kwargs)
        self.k = k

    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes ``precision`` and ``recall`` with their standard errors.

        Raises:
            ValueError: There is no reference; samples are missing or came twice; features are not finite.
        """
        check_kept(self)
        y, real_radius = (self.reference[name].to(self.device) for name in ("features", "radius"))
        radius, without = ball_radii(self.features, self.k, self.num_groups)
        group = self.group(torch.arange(self.num_samples))
        without[torch.arange(len(without)), group] = -torch.inf  # a ball that is left out holds nothing
        # One more column: all samples.
        radii = torch.cat([without, radius[:, None]], 1)
        pair = Centred.of(self.features, y)
        inside = torch.zeros(self.num_samples, dtype=torch.bool, device=self.device)
        covered = torch.zeros(len(y), radii.shape[1], dtype=torch.bool, device=self.device)
        for row, column, squared in distance_blocks(pair):
            rows, columns = slice(row, row + len(squared)), slice(column, column + squared.shape[1])
            squared -= pair.slack
            inside[rows] |= (squared <= real_radius[columns]).any(1)
            for g in range(radii.shape[1]):
                covered[columns, g] |= (squared <= radii[rows, g, None]).any(0)
        precision, recall = inside.double().mean(), covered.double().mean(0)
        return {
            "precision": precision,
            "precision_se": (precision * (1 - precision) / (self.num_samples - 1)).sqrt(),
            "recall": recall[-1],
            "recall_se": jackknife_error(recall[:-1].tolist()),
        }
