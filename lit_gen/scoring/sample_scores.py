"""Scores of a model's samples against a split of the data, on any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import lightning as L
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.data.cache import cache_root
from lit_gen.metrics import (
    FeatureSpace,
    SampleScore,
    StatisticFactory,
    Summary,
    reference_summaries,
    score_samples,
    statistic_class,
)
from lit_gen.quantization import to_uint8


def short_count(n: int) -> str:
    """Number of samples as a part of a score's name.

    >>> short_count(1000), short_count(2500), short_count(50_000)
    ('1k', '2500', '50k')
    """
    return str(n) if n % 1000 else f"{n // 1000}k"


def sum_over_processes(trainer: L.Trainer) -> Callable[[Tensor], Tensor]:
    """Returns a function that sums a tensor over the trainer's processes."""
    if trainer.world_size == 1:
        return lambda tensor: tensor  # not moved: not every device has float64
    strategy = trainer.strategy

    def add(tensor: Tensor) -> Tensor:
        home = tensor.device
        return cast(Tensor, strategy.reduce(tensor.clone().to(strategy.root_device), reduce_op="sum")).to(home)

    return add


def as_seen(x: Tensor, num_levels: int, extractor: FeatureSpace) -> Tensor:
    """Values as a feature space takes them: images rescaled to 0..255, text and audio unchanged."""
    # Examples that are streamed have all 256 values and pass as they are.
    return to_uint8(x, num_levels) if extractor.modality == "image" and num_levels < 256 else x


def split_references(
    trainer: L.Trainer,
    model: GenerativeModule,
    extractor: FeatureSpace,
    factories: Sequence[StatisticFactory],
    split: str,
) -> list[Summary | None]:
    """Summaries of a split's features, cached: not shuffled, not augmented, each example once.

    A statistic that names the split of its reference gets that instead.
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    splits = [statistic_class(factory).reference_split or split for factory in factories]
    found: list[Summary | None] = [None] * len(factories)
    for name in dict.fromkeys(splits):
        places = [i for i, other in enumerate(splits) if other == name]
        summaries = reference_summaries(
            as_seen(data.split(name).x, model.num_levels, extractor),
            extractor,
            [factories[i] for i in places],
            f"{data.name} {name}",
            cache_root() / "reference",
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            all_reduce=sum_over_processes(trainer),
        )
        for i, summary in zip(places, summaries, strict=True):
            found[i] = summary
    return found


def model_scores(
    trainer: L.Trainer,
    model: GenerativeModule,
    extractor: FeatureSpace,
    factories: Sequence[StatisticFactory],
    references: Sequence[Summary | None],
    num_samples: int,
    seed: int,
) -> list[SampleScore]:
    """Scores the model's first ``num_samples`` samples of the stream given by seed, divided among the processes.

    The samples are drawn under the Trainer's precision, as in validation steps; Lightning calls callbacks
    outside it.
    """

    def sample(first: int, n: int) -> Tensor:
        with trainer.precision_plugin.forward_context():
            x = model.sample(n, seed=seed, first=first)
        return as_seen(x, model.num_levels, extractor)

    return score_samples(
        sample,
        extractor,
        factories,
        references,
        num_samples,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
        all_reduce=sum_over_processes(trainer),
    )
