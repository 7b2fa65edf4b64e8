"""Statistics of balls around the reference examples, each through its example's k-th nearest neighbour."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.neighbourhoods import ball_radii, check_neighbours
from lit_gen.metrics.statistics.kept_features import KeptFeatures


class NeighbourBalls(KeptFeatures):
    """Base class of statistics of which samples lie in balls around the reference examples.

    A subclass sets ``k`` in its constructor, and implements ``compute``.

    Attributes:
        k: Number of neighbours.
        rule: Whether a ball's surface belongs to it: ``<=``, or not: ``<``.
    """

    k: int
    rule: ClassVar[Literal["<", "<="]]

    @override
    def check_counts(self, num_reference: int) -> None:
        """Validates that there are more reference examples than neighbours."""
        check_neighbours(type(self).__name__, self.k, "reference examples", num_reference, 1)

    @override
    def summary_of(self, features: Tensor) -> dict[str, Tensor]:
        """Returns the squared radii of the balls around the features, float64 [m]."""
        self.check_counts(len(features))
        return {"radius": ball_radii(features, self.k)[0].cpu()}

    @override
    def protocol(self) -> dict[str, Any]:
        """Returns k, and the rule on the surface of a ball."""
        return {"statistic": {"k": self.k, "rule": self.rule}}
