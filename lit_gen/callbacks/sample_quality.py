"""Statistics of samples, such as their distance from the data, while training goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.likelihood import to_uint8
from lit_gen.metrics import (
    FeatureSpace,
    SampleScore,
    StatisticFactory,
    Summary,
    chosen,
    reference_summaries,
    score_samples,
    score_specs,
)


class SampleQuality(L.Callback):
    """Scores samples against the validation split at a stated cadence and count.

    The samples are those of the average, if the run keeps one, and always of the same noise. The count is part
    of the score's name (``val/fd_mnist_cnn_1k``): distances at different counts do not compare. The test split
    is not touched. No generator of torch's is read or moved.

    Args:
        extractor: The feature space, of the data's modality; None: no scores.
        statistics: Statistics of the features, such as FrechetDistance or KID; None: those that the feature space
            names. A list replaces them, and ``+=`` appends to a list.
        num_samples: Samples a score.
        every: Validations between two scores.
        seed: Names the samples' noise.

    Attributes:
        scored: Whether the latest validation took the scores.
    """

    def __init__(
        self,
        extractor: FeatureSpace | None = None,
        statistics: list[StatisticFactory] | None = None,
        num_samples: int = 1_000,
        every: int = 1,
        seed: int = 0,
    ) -> None:
        if num_samples < 20 or every < 1:
            raise UserError(f"quality: num_samples={num_samples} must be at least 20 and every={every} at least 1")
        self.extractor = extractor
        self.statistics = statistics
        self.num_samples = num_samples
        self.every = every
        self.seed = seed
        self.scored = False
        self._validations = 0
        self._references: list[Summary | None] | None = None

    @property
    def score_names(self) -> list[str]:
        """Names of the logged scores; the first is what checkpoints are chosen by where there is no likelihood."""
        if self.extractor is None:
            return []
        network = self.extractor.network
        return [self._name(spec.name(network)) for spec in score_specs(self.extractor, self.statistics)]

    @property
    def first_score_is_higher_better(self) -> bool:
        """Whether larger values of the first score are better."""
        return any(spec.higher_is_better for spec in score_specs(self.extractor, self.statistics)[:1])

    def left_out(self, metric: str | None) -> bool:
        """Whether a metric is one of these scores, and the latest validation did not take them."""
        return not self.scored and metric in self.score_names

    def _name(self, score: str) -> str:
        return f"val/{score}_{short_count(self.num_samples)}"

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Scores, on all processes together, and logs the same numbers on each."""
        if self.extractor is None or trainer.sanity_checking or not isinstance(pl_module, GenerativeModule):
            return
        self._validations += 1
        # The last state is always a candidate, whatever the cadence.
        self.scored = (self._validations - 1) % self.every == 0 or trainer.should_stop
        if not self.scored:
            return
        extractor = self.extractor.to(pl_module.device)
        factories = chosen(extractor, self.statistics)
        if self._references is None:
            self._references = split_references(trainer, pl_module, extractor, factories, "val")
        for i, score in enumerate(
            model_scores(trainer, pl_module, extractor, factories, self._references, self.num_samples, self.seed)
        ):
            pl_module.log(self._name(score.name), score.value, prog_bar=i == 0, sync_dist=True)

    def state_dict(self) -> dict[str, int]:
        """How many validations there were, so that the cadence survives a resume."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Takes the count from a checkpoint."""
        self._validations = state_dict["validations"]


def short_count(n: int) -> str:
    """A number of samples as part of a score's name.

    >>> short_count(1000), short_count(2500), short_count(50_000)
    ('1k', '2500', '50k')
    """
    return str(n) if n % 1000 else f"{n // 1000}k"


def sum_over_processes(trainer: L.Trainer) -> Callable[[Tensor], Tensor]:
    """A function that adds a tensor over the trainer's processes."""
    if trainer.world_size == 1:
        return lambda tensor: tensor  # where it is: not every device has float64
    strategy = trainer.strategy

    def add(tensor: Tensor) -> Tensor:
        home = tensor.device
        return cast(Tensor, strategy.reduce(tensor.clone().to(strategy.root_device), reduce_op="sum")).to(home)

    return add


def cache_folder() -> Path:
    """Where reference statistics are kept: ``LIT_GEN_CACHE``, or ``~/.cache/lit_gen``."""
    return Path(os.environ.get("LIT_GEN_CACHE") or "~/.cache/lit_gen").expanduser() / "reference"


def as_seen(x: Tensor, num_levels: int, extractor: FeatureSpace) -> Tensor:
    """Levels as an extractor takes them: of images spread over 0..255, of text and audio as they are."""
    return to_uint8(x, num_levels) if extractor.modality == "image" else x


def split_references(
    trainer: L.Trainer,
    model: GenerativeModule,
    extractor: FeatureSpace,
    factories: Sequence[StatisticFactory],
    split: str,
) -> list[Summary | None]:
    """Summaries of a split's features, from the cache if they are there: unshuffled, unaugmented, undoubled."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    return reference_summaries(
        as_seen(data.split(split).x, model.num_levels, extractor),
        extractor,
        factories,
        f"{data.name} {split}",
        cache_folder(),
        rank=trainer.global_rank,
        world_size=trainer.world_size,
        all_reduce=sum_over_processes(trainer),
    )


def model_scores(
    trainer: L.Trainer,
    model: GenerativeModule,
    extractor: FeatureSpace,
    factories: Sequence[StatisticFactory],
    references: Sequence[Summary | None],
    num_samples: int,
    seed: int,
) -> list[SampleScore]:
    """Scores of a model's first ``num_samples`` samples of the stream named by seed, shared by the processes.

    The samples are drawn under the Trainer's precision, as validation's steps are; Lightning calls callbacks
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
