"""Scores of a sampler: a distance and an Inception Score with standard errors, on any number of ranks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.spaces.feature_space import FeatureSpace
from lit_gen.metrics.statistics.inception_score import InceptionScoreSums
from lit_gen.metrics.sums import Sums

NUM_GROUPS = 10
"""Groups of the jackknife; sample i belongs to group i mod 10: groups of one size, blind to order."""
MIN_SAMPLES = 2 * NUM_GROUPS
"""Two in each group; fewer have no standard error worth the name."""


@dataclasses.dataclass(frozen=True)
class SampleScores:
    """What the samples are worth; every error is a standard error of the number before it."""

    distance: float
    """The extractor's own: Frechet's, or of n-grams."""
    distance_se: float
    """Over redrawn samples, the reference held fixed: see ``jackknife``."""
    num_samples: int
    inception_score: float | None = None
    """None where the extractor has no classifier, as are the two below."""
    inception_score_se: float | None = None
    inception_score_std: float | None = None
    """The spread over 10 splits that papers print after the score."""


def score_samples(
    sample: Callable[[int, int], Tensor],
    extractor: FeatureSpace,
    reference: Sums,
    num_samples: int,
    *,
    block: int = 250,
    rank: int = 0,
    world_size: int = 1,
    all_reduce: Callable[[Tensor], Tensor] | None = None,
) -> SampleScores:
    """Draws samples block by block and scores them, never holding more than a block.

    Rank r draws blocks r, r + world_size, ... of the indices 0..num_samples-1, the last block cut to fit, so
    that the set of samples, and with it every score up to the rounding of float64 sums, is that of a single
    process.

    Args:
        sample: (first, n) -> uint8 [n, ...] as the extractor takes them, the samples of indices
            first..first+n-1; sample i must depend on i alone.
        extractor: the feature space and, where it has one, the classifier.
        reference: sums of the real data in the same feature space.
        num_samples: how many to draw over all ranks.
        block: samples drawn at a time.
        rank: this process.
        world_size: how many processes share the work.
        all_reduce: sums a tensor over all processes and returns it; needed when there are several.

    Raises:
        UserError: for fewer than 20 samples.
        ValueError: on every rank, when any feature or logit is not finite; when the sampler returns another
            count than asked for; when several ranks have no all_reduce.
    """
    if num_samples < MIN_SAMPLES:
        raise UserError(
            f"num_samples={num_samples} is too few for a standard error; ask for {MIN_SAMPLES} or more"
        )
    if world_size > 1 and all_reduce is None:
        raise ValueError(f"{world_size} ranks need an all_reduce")
    device = extractor.sums_device
    groups = [extractor.zero_sums() for _ in range(NUM_GROUPS)]
    num_classes = extractor.num_classes
    classes = InceptionScoreSums.zeros(num_samples, num_classes, device=device) if num_classes else None
    broken = torch.zeros((), dtype=torch.float64, device=device)
    for first in range(rank * block, num_samples, world_size * block):
        n = min(block, num_samples - first)
        x = sample(first, n)
        if len(x) != n:
            raise ValueError(f"the sampler returned {len(x)} samples where {n} were asked for")
        out = extractor(x)
        features, logits = out.features.to(device), out.logits.to(device)
        broken += (~(features.isfinite().all(1) & logits.isfinite().all(1))).sum()
        index = torch.arange(first, first + n, device=device)
        if classes is not None:
            classes.update(index, logits)
        for group, sums in enumerate(groups):
            sums.update(features[index % NUM_GROUPS == group])

    if all_reduce is not None:
        broken = all_reduce(broken)
        groups = [sums.map(all_reduce) for sums in groups]
        classes = None if classes is None else classes.map(all_reduce)
    if broken > 0:  # after the reduction, so that no rank is left waiting for one that raised
        raise ValueError(f"{int(broken)} of {num_samples} samples have features that are not finite")
    distance = extractor.distance(groups, reference)
    if classes is None:
        return SampleScores(distance.value, distance.standard_error, num_samples)
    score = classes.compute()
    return SampleScores(
        distance.value, distance.standard_error, num_samples, score.mean, score.standard_error, score.std
    )
