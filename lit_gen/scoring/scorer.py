"""Scores a checkpoint in a fresh Trainer; each score carries its protocol."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lit_gen.contract import Estimation, GenerativeModule, SamplingOptions
from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.likelihood import bits_per_dim
from lit_gen.metrics import FeatureSpace, SampleScore, StatisticFactory, chosen, score_samples
from lit_gen.metrics.reference import TRANSFORM_VERSION
from lit_gen.records.protocol import Protocol
from lit_gen.records.question import REFERENCE
from lit_gen.records.score import Score
from lit_gen.scoring.sample_scores import as_seen, split_references, sum_over_processes
from lit_gen.scoring.settings import Scoring

_REAL = {"image": "real train images", "text": "real train text", "audio": "real train audio"}


def scored_rows(data: DiscreteDataModule, scoring: Scoring) -> Tensor | None:
    """Rows of the split whose likelihood is computed, in ascending order: a random subset, or None for all of them."""
    length, wanted = len(data.split(scoring.split).x), scoring.max_examples
    if wanted is None or wanted >= length:
        return None
    return some_rows(length, wanted, scoring.seed).sort().values


def some_rows(length: int, n: int, seed: int) -> Tensor:
    """Indices of n random rows without repetition: the first rows may all be of one class."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(seed))[:n]


class Scorer(L.Callback):
    """Computes all scores of a model at the end of a test, on all processes together.

    Args:
        data: The data module.
        scoring: The user's options of the protocol.
        extractor: Feature space of the sample scores; None disables them.
        statistics: Statistics of the features; None for the feature space's defaults.
        weights: Which weights are in the model: ``ema`` or ``raw``.
        halflife_examples: Halflife of the average, if there is one.
        samplings: Sampling options to score one after another, instead of the model's own; the likelihood, which
        does not depend on them, is then not computed.

    Attributes:
        scores: The model's scores.
        baselines: Scores of baselines, such as real images, under the same protocols.
        seconds_per_1000_samples: Wall time on this process while sampling with the model's own options.
        evaluations_per_sample: Number of network evaluations per sample with the same options.
        sample_notes: Shares of the samples of the same options, over all processes; see ``sample_counts`` of the model.
    """

    def __init__(
        self,
        data: DiscreteDataModule,
        scoring: Scoring,
        extractor: FeatureSpace | None,
        statistics: Sequence[StatisticFactory] | None,
        weights: str,
        halflife_examples: float | None,
        samplings: Sequence[SamplingOptions] = (),
    ) -> None:
        self.samplings = samplings
        self.statistics = chosen(extractor, statistics)
        self.data, self.scoring, self.extractor = data, scoring, extractor
        self.weights, self.halflife_examples = weights, halflife_examples
        self.scores: list[Score] = []
        self.baselines: list[Score] = []
        self.seconds_per_1000_samples: float | None = None
        self.evaluations_per_sample: int | None = None
        self.sample_notes: dict[str, float] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Sets the model's likelihood estimation."""
        assert isinstance(pl_module, GenerativeModule)
        pl_module.check_estimator(self.scoring.estimator)
        how = Estimation(self.scoring.estimator, self.scoring.draws, self.scoring.seed)
        pl_module.test_estimation = None if self.samplings else how

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Collects the likelihood accumulated by the test, and draws and scores samples."""
        assert isinstance(pl_module, GenerativeModule)
        self._score_likelihood(trainer, pl_module)
        if not self.samplings:
            self._score_samples(trainer, pl_module)
        for sampling in self.samplings:
            with pl_module.sampled_by(sampling):
                self._score_samples(trainer, pl_module)

    def _protocol(self, trainer: L.Trainer, metric: str, **more: Any) -> Protocol:
        split = self.scoring.split
        common = {
            "data": self.data.name,
            "data_hash": self.data.fingerprint(split),
            "split": split,
            "num_examples": len(self.data.split(split).x),
            "weights": self.weights,
            "ema_halflife_examples": self.halflife_examples if self.weights == "ema" else None,
            "precision": str(trainer.precision),
            "seed": self.scoring.seed,
        }
        return Protocol(**{"metric": metric, **common, **more})

    # -------------------------------------------------------------- likelihood

    def _score_likelihood(self, trainer: L.Trainer, model: GenerativeModule) -> None:
        nats = model.test_nats
        if not nats.count:
            return
        rows = scored_rows(self.data, self.scoring)
        expected = len(self.data.split(self.scoring.split).x) if rows is None else len(rows)
        if nats.count != expected:
            raise RuntimeError(f"{nats.count} examples were scored where there are {expected}")
        if nats.non_finite:
            raise UserError(
                f"{nats.non_finite} of {expected} {self.scoring.split} examples have no finite likelihood,"
                " so there is no score; train longer, or at a lower learning rate"
            )
        examples: dict[str, Any] = {}
        if rows is not None:
            examples = {"data_hash": self.data.fingerprint_of(self.scoring.split, rows), "num_examples": len(rows)}
        likelihood = model.test_likelihood
        draws = self.scoring.draws if likelihood.kind != "exact" else None
        if likelihood.kind == "exact":
            examples["seed"] = None  # nothing is drawn
        if model.likelihood_in_float32(self.scoring.estimator):
            examples["precision"] = None
        for metric, value, error in (
            ("bpd", bits_per_dim(nats.mean, model.shape), bits_per_dim(nats.standard_error, model.shape)),
            ("nll", nats.mean, nats.standard_error),
        ):
            protocol = self._protocol(trainer, metric, estimator=likelihood.estimator, draws=draws, **examples)
            self.scores.append(
                Score(
                    name=metric, value=value, standard_error=error, kind=likelihood.kind, protocol=protocol
                )
            )
        uniform = self._protocol(
            trainer,
            "bpd",
            **{
                **examples,
                "estimator": "uniform noise",
                "weights": "none",
                "ema_halflife_examples": None,
                "precision": None,
                "seed": None,
            },
        )
        bits = math.log2(model.num_levels)
        self.baselines.append(
            Score(name="bpd", value=bits, standard_error=0.0, kind="exact", protocol=uniform)
        )

    # -------------------------------------------------------------- samples

    def _score_samples(self, trainer: L.Trainer, model: GenerativeModule) -> None:
        timer = _TimedSampler(trainer, model, self.scoring.seed)
        if self.extractor is None or (self.extractor.modality == "image" and len(model.shape) != 3):
            timer(0, min(250, self.scoring.num_samples))
        else:
            extractor = self.extractor.to(model.device)
            references = split_references(trainer, model, extractor, self.statistics, self.scoring.split)

            def score(sample: Any, n: int) -> list[SampleScore]:
                return score_samples(
                    lambda first, count: as_seen(sample(first, count), model.num_levels, extractor),
                    extractor,
                    self.statistics,
                    references,
                    n,
                    rank=trainer.global_rank,
                    world_size=trainer.world_size,
                    all_reduce=sum_over_processes(trainer),
                )

            found = score(timer, self.scoring.num_samples)
            settings: dict[str, Any] = dict(model.sampler_settings())
            name = str(settings.pop("name"))
            settings["function_evaluations"] = timer.evaluations_per_sample
            precision = None if model.samples_in_float32() else str(trainer.precision)
            self.scores += self._sample_scores(trainer, extractor, found, name, settings, self.weights, precision)
            x = self.data.split("train").x
            taken = any(baseline.protocol.sampler for baseline in self.baselines)  # with earlier options
            if not taken and len(x) >= self.scoring.num_samples:
                real = x[some_rows(len(x), self.scoring.num_samples, self.scoring.seed)]
                baseline = score(lambda first, n: real[first : first + n], len(real))
                sampler = _REAL[self.data.modality]
                self.baselines += self._sample_scores(trainer, extractor, baseline, sampler, {}, "none")
        if not self.samplings:  # the record's cost is that of the model's own options
            self.seconds_per_1000_samples = timer.seconds_per_1000_samples
            self.evaluations_per_sample = timer.evaluations_per_sample
            self.sample_notes = timer.shares(sum_over_processes(trainer))

    def _sample_scores(
        self,
        trainer: L.Trainer,
        extractor: FeatureSpace,
        found: list[SampleScore],
        sampler: str,
        settings: dict[str, Any],
        weights: str,
        precision: str | None = None,
    ) -> list[Score]:
        split = self.scoring.split
        common = {
            "reference_split": split,
            "reference_hash": self.data.fingerprint(split),
            "extractor": extractor.name,
            "extractor_sha256": extractor.sha256,
            "transform": f"{extractor.name}-{TRANSFORM_VERSION}",
            "precision": precision,
            "sampler": sampler,
            "sampler_settings": settings,
            "weights": weights,
            "ema_halflife_examples": self.halflife_examples if weights == "ema" else None,
        }
        # No real data are compared with: the number cannot depend on them.
        alone = dict.fromkeys(("split", "data_hash", "num_examples", *REFERENCE))
        return [
            sample_score(
                score,
                self._protocol(
                    trainer,
                    score.name,
                    num_samples=score.num_samples,
                    **{**common, **({} if score.uses_reference else alone), **score.protocol},
                ),
            )
            for score in found
        ]


def sample_score(found: SampleScore, protocol: Protocol) -> Score:
    """Converts a score of samples into a score of a record."""
    return Score(
        name=found.name,
        value=found.value,
        standard_error=found.standard_error,
        kind=None,
        protocol=protocol,
        label=found.label,
        unit=found.unit,
        higher_is_better=found.higher_is_better,
        decimals=found.decimals,
    )


class _TimedSampler:
    """Draws a model's samples, and measures the time and the network evaluations.

    Enters the Trainer's precision context, as Lightning does around steps but not around hooks.
    """

    def __init__(self, trainer: L.Trainer, model: GenerativeModule, seed: int) -> None:
        self.trainer, self.model, self.seed = trainer, model, seed
        self._seconds, self._samples, self._evaluations = 0.0, 0, 0
        self._counts_before = model.sample_counts()

    def __call__(self, first: int, n: int) -> Tensor:
        since, before = time.perf_counter(), self.model.function_evaluations
        with self.trainer.precision_plugin.forward_context():
            x = self.model.sample(n, seed=self.seed, first=first)
        self._seconds += time.perf_counter() - since
        self._evaluations += self.model.function_evaluations - before
        self._samples += n
        return x

    def shares(self, add: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Quotients of the model's counts over the samples of all processes; ``add`` sums over processes."""
        before, after = self._counts_before, self.model.sample_counts()
        counts = {name: torch.tensor(after[name]) - torch.tensor(before[name]) for name in after}
        sums = {name: add(count.double()).tolist() for name, count in counts.items()}
        return {name: many / total for name, (many, total) in sums.items() if total}

    @property
    def seconds_per_1000_samples(self) -> float | None:
        return 1000 * self._seconds / self._samples if self._samples else None

    @property
    def evaluations_per_sample(self) -> int | None:
        return round(self._evaluations / self._samples) if self._samples else None
