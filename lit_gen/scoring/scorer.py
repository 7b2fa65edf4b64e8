"""Scores a checkpoint in a fresh Trainer; each score carries its protocol."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lit_gen.contract import GenerativeModule, SamplingOptions
from lit_gen.data import DiscreteDataModule
from lit_gen.data.example_hashes import chosen_examples
from lit_gen.data.module import SplitName
from lit_gen.metrics import FeatureSpace, Pairs, SampleScore, StatisticFactory, chosen, score_samples
from lit_gen.metrics.reference import TRANSFORM_VERSION
from lit_gen.noise import GENERATOR
from lit_gen.records.impossible import ImpossibleScoreError
from lit_gen.records.per_example import ExampleNats
from lit_gen.records.protocol import Protocol
from lit_gen.records.question import REFERENCE
from lit_gen.records.score import Score
from lit_gen.scoring.arithmetic import stated_precision
from lit_gen.scoring.likelihood_scores import (
    ScoredPart,
    example_rows,
    likelihood_scores,
    scored_parts,
    some_rows,
    uniform_score,
)
from lit_gen.scoring.sample_scores import as_seen, split_references, sum_over_processes
from lit_gen.scoring.sampling_bar import SamplingBar
from lit_gen.scoring.settings import Scoring

_REAL = {"image": "real train images", "text": "real train text", "audio": "real train audio"}


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
        save: Function that is called with this scorer after the likelihoods and after each sampling's scores.

    Attributes:
        scores: The model's scores.
        parts: The examples whose likelihood is computed, one for each test data loader.
        examples: Values per example, by the path of their file.
        baselines: Scores of baselines, such as real images, under the same protocols.
        seconds_per_1000_samples: Wall time on this process while sampling with the model's own options.
        evaluations_per_sample: Number of network evaluations per sample with the same options.
        pairs: Samples, drawn with the same options, with their nearest training examples; None where no statistic
            looks for them.
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
        save: Callable[[Scorer], None] | None = None,
    ) -> None:
        self.samplings, self.save = samplings, save
        self.statistics = chosen(extractor, statistics)
        self._statistics = statistics
        self.data, self.scoring, self.extractor = data, scoring, extractor
        self.parts: list[ScoredPart] = []
        self.weights, self.halflife_examples = weights, halflife_examples
        self.scores: list[Score] = []
        self.baselines: list[Score] = []
        self.examples: dict[str, list[ExampleNats]] = {}
        self.seconds_per_1000_samples: float | None = None
        self.evaluations_per_sample: int | None = None
        self.sample_notes: dict[str, float] = {}
        self.pairs: Pairs | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Sets the model's likelihood estimation."""
        assert isinstance(pl_module, GenerativeModule)
        pl_module.check_estimator(self.scoring.estimator)
        if pl_module.estimators and not self.samplings:
            self.parts = scored_parts(self.data, self.scoring)
        pl_module.test_estimation = [part.how for part in self.parts] or None

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Collects the likelihood accumulated by the test, and draws and scores samples."""
        assert isinstance(pl_module, GenerativeModule)
        self._score_likelihood(trainer, pl_module)
        if self.scores and self.save is not None:
            self.save(self)
        samplings = self.samplings or ([pl_module.sampling] if pl_module.most_samples != 0 else [])
        if not samplings:
            return
        with SamplingBar(trainer, len(samplings), self.scoring.num_samples) as bar:
            for sampling in samplings:
                with pl_module.sampled_by(sampling):
                    bar.start(pl_module.sampler_settings())
                    self._score_samples(trainer, pl_module, bar)
                if self.save is not None:
                    self.save(self)

    def _protocol(self, trainer: L.Trainer, metric: str, **more: Any) -> Protocol:
        split = self.scoring.split
        common = {
            "data": self.data.name,
            "data_hash": self.data.fingerprint(split),
            "split": split,
            "num_examples": len(self.data.split(split).x),
            "weights": self.weights,
            "ema_halflife_examples": self.halflife_examples if self.weights == "ema" else None,
            "precision": stated_precision(trainer),
            "seed": self.scoring.seed,
        }
        fields = {"metric": metric, **common, **more}
        return Protocol(**fields, generator=None if fields["seed"] is None else GENERATOR)

    # -------------------------------------------------------------- likelihood

    def _score_likelihood(self, trainer: L.Trainer, model: GenerativeModule) -> None:
        def protocol(metric: str, **more: Any) -> Protocol:
            if model.likelihood_in_float32(self.scoring.estimator):
                more = {"precision": stated_precision(trainer, in_float32=True)} | more
            return self._protocol(trainer, metric, **more)

        for part, values in zip(self.parts, model.test_values, strict=False):
            try:
                found = likelihood_scores(values, part, self.data, protocol)
            except ImpossibleScoreError as error:  # the scores of samples are kept
                rank_zero_warn(f"not recorded: {error}")
                continue
            self.scores += found
            if found:
                self.examples[str(found[0].per_example)] = list(example_rows(values, part, self.data))
            if found and part.split == self.scoring.split:
                self.baselines.append(uniform_score(values, part, self.data, protocol))

    # -------------------------------------------------------------- samples

    def _score_samples(self, trainer: L.Trainer, model: GenerativeModule, bar: SamplingBar) -> None:
        timer = _TimedSampler(trainer, model, self.scoring.seed, bar)
        if self.extractor is None or (self.extractor.modality == "image" and len(model.shape) != 3):
            timer(0, min(250, self.scoring.num_samples))
        else:
            extractor = self.extractor.to(model.device)
            fewest = min(self.scoring.num_samples, len(self.data.split(self.scoring.split).x))
            self.statistics = chosen(extractor, self._statistics, fewest)
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
            if not self.samplings:
                self.pairs = next((one.pairs for one in found if one.pairs is not None), None)
            settings: dict[str, Any] = dict(model.sampler_settings())
            name = str(settings.pop("name"))
            settings["function_evaluations"] = timer.evaluations_per_sample
            precision = stated_precision(trainer, in_float32=model.samples_in_float32())
            self.scores += self._sample_scores(trainer, extractor, found, name, settings, self.weights, precision)
            x = self.data.split("train").x
            taken = any(baseline.protocol.sampler for baseline in self.baselines)  # with earlier options
            if not taken and len(x) >= self.scoring.num_samples:
                rows = some_rows(len(x), self.scoring.num_samples, self.scoring.seed)
                if not isinstance(x, Tensor):  # streamed: in ascending order each shard is read once
                    rows = rows.sort().values
                real = chosen_examples(x, rows)
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
        common = {
            "extractor": extractor.name,
            "extractor_sha256": extractor.sha256,
            "transform": f"{extractor.transform}-{TRANSFORM_VERSION}",
            "precision": precision,
            "sampler": sampler,
            "sampler_settings": settings,
            "weights": weights,
            "ema_halflife_examples": self.halflife_examples if weights == "ema" else None,
        }
        # No real data are compared with: the number cannot depend on them.
        alone = dict.fromkeys(("split", "data_hash", "num_examples", *REFERENCE))
        scores = [
            sample_score(
                score,
                self._protocol(
                    trainer,
                    score.name,
                    num_samples=score.num_samples,
                    **{**common, **(self._reference(score) if score.uses_reference else alone), **score.protocol},
                ),
            )
            for score in found
        ]
        own = not self.samplings or weights == "none"
        return [dataclasses.replace(score, own_sampling=own) for score in scores]

    def _reference(self, score: SampleScore) -> dict[str, Any]:
        """Fields of the protocol that say what a score's samples were compared with."""
        split = cast(SplitName, score.reference_split or self.scoring.split)
        found: dict[str, Any] = {"reference_split": split, "reference_hash": self.data.fingerprint(split)}
        if split != self.scoring.split:  # the scored split has no part in the number
            found |= {"split": None, "data_hash": None, "num_examples": len(self.data.split(split).x)}
        return found


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
        note=found.note,
    )


class _TimedSampler:
    """Draws a model's samples, and measures the time and the network evaluations.

    Enters the Trainer's precision context, as Lightning does around steps but not around hooks.
    """

    def __init__(self, trainer: L.Trainer, model: GenerativeModule, seed: int, bar: SamplingBar) -> None:
        self.trainer, self.model, self.seed, self.bar = trainer, model, seed, bar
        self._seconds, self._samples, self._evaluations = 0.0, 0, 0
        self._counts_before = model.sample_counts()

    def __call__(self, first: int, n: int) -> Tensor:
        since, before = time.perf_counter(), self.model.function_evaluations
        with self.trainer.precision_plugin.forward_context():
            x = self.model.sample(n, seed=self.seed, first=first)
        self._seconds += time.perf_counter() - since
        self._evaluations += self.model.function_evaluations - before
        self._samples += n
        self.bar.update(n * self.trainer.world_size)
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
        # None also for samples of another program, which nothing counted.
        return round(self._evaluations / self._samples) or None if self._samples else None
