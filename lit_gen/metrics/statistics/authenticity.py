"""The share of samples that are not nearer to a training example than training examples are to one another."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.neighbourhoods import nearest_pairs
from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.statistics.kept_features import KeptFeatures, check_kept
from lit_gen.metrics.statistics.statistic import Pairs


class AuthPct(KeptFeatures):
    """Percentage of authentic samples, compared with the training split whatever split is scored.

    A sample is authentic if it is farther from its nearest training example than that example is from its own nearest
    other one. Copies are not. Held-out examples reach well below 100, and how far depends on the number of training
    examples, so that the value compares only with that of held-out examples. Neither this nor any other statistic
    detects copies reliably: a score comes with a page of the most suspicious pairs, which decide.

    Distances are Euclidean in float64, and computed from differences, so that a copy's is 0. Examples that are in the
    training split twice have the distance 0 from one another, and a copy of these counts as not authentic too.

    The standard error is that of a share of independent samples, the training examples held fixed.

    Memory: 4 D bytes for each sample and each training example, on each process.

    Args:
        num_features: Number of features D.
        reference: Another instance's ``summary()``, of the training examples.
        num_samples: Number of samples m that there will be over all processes.
        num_groups: Ignored.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.

    References:
        Alaa et al. 2022, How faithful is your synthetic data? https://arxiv.org/abs/2102.08921, section 4.3; as a
        percentage in Stein et al. 2023, Exposing flaws of generative model evaluation metrics,
        https://arxiv.org/abs/2306.04675.
    """

    scores = (ScoreSpec("authpct", "AuthPct", unit="%", higher_is_better=True, decimals=1),)
    reference_split: ClassVar[Literal["train"] | None] = "train"

    _pairs: Pairs | None = None

    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes ``authpct`` and its standard error, in percent.

        Raises:
            ValueError: There is no reference; samples are missing or came twice; features are not finite.
        """
        check_kept(self)
        y = self.reference["features"].to(self.device)
        found = nearest_pairs(self.features, y)
        rows, back = found.row.unique(return_inverse=True)
        own = nearest_pairs(y[rows], y, exclude=rows).squared[back]
        share = (own < found.squared).double().mean()
        # A pair of zeros is a copy of an example that is there twice.
        ratio = (found.squared / own).nan_to_num(0.0).sqrt().cpu()
        order = ratio.argsort(stable=True)
        self._pairs = Pairs(order, found.row.cpu()[order], ratio[order])
        error = (share * (1 - share) / (self.num_samples - 1)).sqrt()
        return {"authpct": 100 * share, "authpct_se": 100 * error}

    @override
    def pairs(self) -> Pairs | None:
        """Returns all samples with their nearest training examples, the smallest ratio first."""
        return self._pairs

    @override
    def protocol(self) -> dict[str, Any]:
        """Returns the number of neighbours."""
        return {"statistic": {"k": 1, "rule": "<"}}
