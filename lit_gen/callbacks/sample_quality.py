"""Statistics of samples during training, such as their distance from the data."""

from __future__ import annotations

import lightning as L

from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.metrics import FeatureSpace, StatisticFactory, Summary, chosen, score_specs
from lit_gen.scoring.sample_scores import model_scores, short_count, split_references


class SampleQuality(L.Callback):
    """Scores samples against the validation split at a given interval and number of samples.

    Samples are drawn from the averaged weights, if the run keeps an average, and always from the same noise. The
    number is part of the score's name (``val/fd_mnist_cnn_1k``), because distances with different numbers of
    samples are not comparable. The test split is not used. Torch's generators are neither read nor changed.

    Args:
        extractor: Feature space for the data's modality; None disables the scores.
        statistics: Further statistics of the features, such as KID, beside those that the feature space names; one of
            the same class replaces the feature space's.
        num_samples: Number of samples per score.
        every: Number of validations between two scores.
        seed: Seed of the samples' noise.

    Attributes:
        scored: Whether the latest validation computed the scores.
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
        if not 0 <= seed < 2**63:
            raise UserError(f"quality.seed is {seed}; give a whole number from 0 to 2**63 - 1")
        self.num_samples = num_samples
        self.every = every
        self.seed = seed
        self.scored = False
        self._validations = 0
        self._references: list[Summary | None] | None = None

    @property
    def score_names(self) -> list[str]:
        """Names of the logged scores; without a likelihood, checkpoints are selected by the first."""
        if self.extractor is None:
            return []
        network = self.extractor.network
        return [self._name(spec.name(network)) for spec in score_specs(self.extractor, self.statistics)]

    @property
    def first_score_is_higher_better(self) -> bool:
        """Whether larger values of the first score are better."""
        return any(spec.higher_is_better for spec in score_specs(self.extractor, self.statistics)[:1])

    def left_out(self, metric: str | None) -> bool:
        """Whether a metric is one of these scores and was not computed in the latest validation."""
        return not self.scored and metric in self.score_names

    def _name(self, score: str) -> str:
        return f"val/{score}_{short_count(self.num_samples)}"

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Computes scores on all processes together, and logs the same values on each."""
        if self.extractor is None or trainer.sanity_checking or not isinstance(pl_module, GenerativeModule):
            return
        # The last state is always a candidate, whatever the cadence.
        self.scored = self._validations % self.every == 0 or trainer.should_stop
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

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Counts; an interrupted validation, which a resumed run repeats, does not."""
        if not trainer.sanity_checking:
            self._validations += 1

    def state_dict(self) -> dict[str, int]:
        """Number of validations, so that the interval continues after resuming."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Restores the number of validations from a checkpoint."""
        self._validations = state_dict["validations"]
