"""One of several processes that compute all statistics together; run by test_statistic."""

from __future__ import annotations

import sys

import torch
import torchmetrics.metric
from torch import Tensor, distributed
from torchmetrics import MetricCollection

from lit_gen.metrics import FeatureSpace, MnistCNN, NGrams, Statistic, build
from lit_gen.metrics.statistics import STATISTICS

NUM_SAMPLES, NUM_REAL = 101, 150


def space_for(cls: type[Statistic]) -> FeatureSpace:
    """A feature space in which a statistic can be computed."""
    return NGrams(2, 5) if cls.feature_kind == "symbols" else MnistCNN()


def features_of(space: FeatureSpace, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random features and logits, as the space gives them."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, space.num_classes, generator=generator)
    if space.feature_kind == "symbols":
        return torch.randint(0, space.num_features, (n, 8), generator=generator), logits
    return torch.randn(n, space.num_features, generator=generator), logits


def reference_of(cls: type[Statistic]) -> dict[str, Tensor]:
    """The summary of features that every process has."""
    space = space_for(cls)
    statistic = build(cls, space, NUM_REAL, num_groups=1)
    statistic.distributed_available_fn = lambda: False
    features, logits = features_of(space, NUM_REAL, seed=1)
    batch = {"features": features, "logits": logits, "index": torch.arange(NUM_REAL)}
    MetricCollection([statistic]).update(**batch)
    return statistic.summary()


def computed(indices: Tensor) -> dict[str, Tensor]:
    """The values and summaries of all statistics after updates with some of the samples."""
    found: dict[str, Tensor] = {}
    for name, cls in STATISTICS.items():
        space = space_for(cls)
        statistic = build(cls, space, NUM_SAMPLES, reference_of(cls))
        features, logits = features_of(space, NUM_SAMPLES)
        for part in indices.split(9):
            MetricCollection([statistic]).update(features=features[part], logits=logits[part], index=part)
        own = {key: state.clone() for key, state in statistic.metric_state.items()}
        found |= {f"{name}.compute.{key}": value for key, value in statistic.compute().items()}
        found |= {f"{name}.summary.{key}": value for key, value in statistic.summary().items()}
        # Afterwards each process has its own sums again, and may go on.
        assert all(torch.equal(own[key], state) for key, state in statistic.metric_state.items())
    return found


def main(rank: int, world_size: int, store: str, out: str) -> None:
    """Computes this process's share without any gather."""

    def gather(*args: object, **kwargs: object) -> None:
        raise AssertionError("states were gathered")

    torchmetrics.metric.gather_all_tensors = gather
    distributed.all_gather = distributed.all_gather_object = distributed.all_gather_into_tensor = gather
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)
    torch.save(computed(torch.arange(rank, NUM_SAMPLES, world_size)), f"{out}{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
