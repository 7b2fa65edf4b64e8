"""Statistics of samples during training, such as their distance from the data."""

from __future__ import annotations

import lightning as L

from lit_gen.callbacks.above_bar import print_above
from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.metrics import FeatureSpace, ScoreSpec, StatisticFactory, Summary, chosen, score_specs
from lit_gen.scoring.sample_scores import model_scores, short_count, split_references
from lit_gen.scoring.settings import MOST_SAMPLES


class SampleQuality(L.Callback):
    """Scores samples against the validation split at a given interval and number of samples.

    Samples are drawn from the averaged weights, if the run keeps an average, and always from the same noise. The
    number is part of the score's name (``val/fd_mnist_cnn_1k``), because distances with different numbers of
    samples are not comparable. The test split is not used. Torch's generators are neither read nor changed.

    A large feature network computes tens of images a second on a CPU. There, it is left out of training unless
    ``during_training`` is true; the final scores have it all the same.

    Args:
        extractor: Feature space for the data's modality; None disables the scores.
        statistics: Further statistics of the features, such as KID, beside those that the feature space names; one of
            the same class replaces the feature space's.
        num_samples: Number of samples per score.
        every: Number of validations between two scores.
        seed: Seed of the samples' noise.
        during_training: Whether to score samples in validations; None: unless the feature space is slow on the CPU
            that trains.

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
        during_training: bool | None = None,
    ) -> None:
        if not 20 <= num_samples <= MOST_SAMPLES or every < 1:
            raise UserError(
                f"quality: num_samples={num_samples} must be from 20 to {MOST_SAMPLES:,}, and every={every} at least 1"
            )
        self.extractor = extractor
        self.statistics = statistics
        if not 0 <= seed < 2**63:
            raise UserError(f"quality.seed is {seed}; give a whole number from 0 to 2**63 - 1")
        self.num_samples = num_samples
        self.every = every
        self.seed = seed
        self.during_training = during_training
        self.scored = False
        self._validations = 0
        self._references: list[Summary | None] | None = None

    @property
    def score_names(self) -> list[str]:
        """Names of the logged scores; without a likelihood, checkpoints are selected by the first."""
        if self.extractor is None:
            return []
        network = self.extractor.network
        return [self._name(spec.name(network)) for spec in self._specs()]

    @property
    def first_score_is_higher_better(self) -> bool:
        """Whether larger values of the first score are better."""
        return any(spec.higher_is_better for spec in self._specs()[:1])

    def _specs(self) -> list[ScoreSpec]:
        return score_specs(self.extractor, self.statistics, self.num_samples)

    def is_on(self, device_type: str) -> bool:
        """Whether samples are scored in validations on a device, such as ``cpu``."""
        if self.extractor is None or self.during_training is False:
            return False
        return bool(self.during_training) or not (self.extractor.slow_on_cpu and device_type == "cpu")

    def left_out(self, metric: str | None) -> bool:
        """Whether a metric is one of these scores and was not computed in the latest validation."""
        return not self.scored and metric in self.score_names

    def _name(self, score: str) -> str:
        return f"val/{score}_{short_count(self.num_samples)}"

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Says so where samples are scored after training alone."""
        if self.extractor is None or self.during_training is not None or self.is_on(pl_module.device.type):
            return
        if trainer.is_global_zero:
            print_above(
                trainer,
                f"samples are scored once, after training, since {type(self.extractor).__name__} is slow on a CPU;"
                " to score them in each validation: --quality.during_training=true",
            )

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Computes scores on all processes together, and logs the same values on each."""
        if self.extractor is None or trainer.sanity_checking or not isinstance(pl_module, GenerativeModule):
            return
        if not self.is_on(pl_module.device.type):
            self.scored = False
            return
        # The last state is always a candidate, whatever the cadence.
        self.scored = self._validations % self.every == 0 or trainer.should_stop
        if not self.scored:
            return
        extractor = self.extractor.to(pl_module.device)
        factories = chosen(extractor, self.statistics, self.num_samples)
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
