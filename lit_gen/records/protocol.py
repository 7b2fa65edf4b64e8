"""What a score depends on.

Two numbers with the same name are often answers to different questions: another count of samples, another
feature network, another split. A `Protocol` states everything that changes the number, and its hash is recorded
with the score. `question.py` says which of its fields must agree for two scores to share a column.

Library versions, machine and world size are not here: they are recorded beside the score
(`environment.Environment`), because a score that depended on them would be a bug to find, not a column to split.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

from lit_gen.records.question import SETTING, SHA256, TRADE_OFFS, Question, Scalar, canonical, is_answer


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Everything that changes one score's number.

    A field that is added later has a default, which means what protocols without it meant. Since the hash covers
    only what differs from a default, theirs stay as they are.

    Attributes:
        metric: The score's name: `bpd`, `fid`, `fd_mnist_cnn` ... (see `score.py`).
        data: Name of the data set.
        data_hash: sha256 (hex) of exactly what the model sees of the split that is scored; None where the number
            cannot depend on it, as an Inception Score.
        split: Split that is scored, or that samples are compared with: `train`, `val` or `test`; None where the
            number cannot depend on it.
        num_examples: Number of real examples scored, or behind the reference statistics; None where there are none.
        weights: Which of the model's weights were scored: averaged (`ema`), last (`raw`), or `none` where no
            model was: a baseline such as real images. `unknown` for another program's samples or likelihoods, whose
            author does not say; it agrees with every value.
        precision: Arithmetic of the scored model, such as `32-true` or `bf16-mixed`, with `+tf32` where float32
            products were TF32 on a GPU; None where the number cannot depend on it.
        seed: Seed of the scoring noise (not of the training); None where the number cannot depend on it.
        generator: Name of the random number generator behind `seed` (`lit_gen.noise.GENERATOR`); None without a seed,
            and in records from before it was named, whose numbers came from torch's generators.
        reference_split: Split behind the reference statistics, where one is used.
        reference_hash: sha256 (hex) of that split's content.
        num_samples: Number of generated samples; None for a likelihood.
        extractor: Name of the feature network; None where none is used.
        extractor_sha256: sha256 (hex) of its weight file.
        transform: Name and version of what turns the data's integers into the network's input.
        is_splits: Number of splits of an Inception Score.
        statistic: Settings of the statistic's definition, such as the number of neighbours; plain scalars, kept sorted.
        ema_halflife_examples: Halflife of the average, in examples seen; only with `ema`.
        sampler: Name of the sampler; for a baseline, what the samples are.
        sampler_settings: Settings of the sampler, function evaluations included; plain scalars, kept sorted.
        estimator: Name of the likelihood's estimator; for a baseline, what the model is.
        draws: Number of draws per example of that estimator; None where it draws nothing.
        replicates: Number of independent estimates per example, each with that many draws, whose mean is the value;
            None for one.
        extra: Keys of the file that this version does not know, with their values. They count as part of the
            question and are hashed.

    Raises:
        ValueError: A hash is no sha256, a count is below one, a setting is no plain finite scalar, or there is a
            halflife without an average.
    """

    shared = True  # for `schema.decode`; no field, as it has no annotation

    metric: str
    data: str
    data_hash: str | None
    split: str | None
    num_examples: int | None
    weights: Literal["ema", "raw", "none", "unknown"]
    precision: str | None
    seed: int | None
    generator: str | None = None
    reference_split: str | None = None
    reference_hash: str | None = None
    num_samples: int | None = None
    extractor: str | None = None
    extractor_sha256: str | None = None
    transform: str | None = None
    is_splits: int | None = None
    statistic: Mapping[str, Scalar] = field(default_factory=dict)
    ema_halflife_examples: float | None = None
    sampler: str | None = None
    sampler_settings: Mapping[str, Scalar] = field(default_factory=dict)
    estimator: str | None = None
    draws: int | None = None
    replicates: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("data_hash", "reference_hash", "extractor_sha256"):
            value = getattr(self, name)
            if value is not None and not SHA256.fullmatch(value):
                raise ValueError(f"protocol.{name} is not a sha256 in hexadecimal: {value!r}")
        for name in ("num_examples", "num_samples", "is_splits", "draws", "replicates"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"protocol.{name} must be at least 1, got {value}")
        if self.weights not in ("ema", "raw", "none", "unknown"):
            raise ValueError(f"protocol.weights must be 'ema', 'raw', 'none' or 'unknown', got {self.weights!r}")
        if self.ema_halflife_examples is not None:
            if self.weights != "ema" or not 0 < self.ema_halflife_examples < math.inf:
                raise ValueError("protocol.ema_halflife_examples must be positive and needs weights='ema'")
            object.__setattr__(self, "ema_halflife_examples", float(self.ema_halflife_examples))
        if clash := sorted(self.extra.keys() & {f.name for f in dataclasses.fields(self)} - {"extra"}):
            raise ValueError(f"protocol.{clash[0]} is a field and cannot be one of the extra keys")
        for part in ("sampler_settings", "statistic"):
            settings = {name: _plain(f"{part}.{name}", value) for name, value in sorted(getattr(self, part).items())}
            object.__setattr__(self, part, settings)

    def __hash__(self) -> int:
        # The generated one would trip over the settings' dict.
        return hash(self.hash)

    @functools.cached_property
    def hash(self) -> str:
        """sha256 (hex) of the canonical JSON of `stated`; its first 16 digits serve for display."""
        return sha256_of(self.stated())

    def stated(self) -> dict[str, Any]:
        """What a file holds of the protocol and what its hash covers: the fields that differ from their default."""
        known = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        defaults = {f.name: _default(f) for f in dataclasses.fields(self)}
        return {n: v for n, v in known.items() if defaults[n] is MISSING or v != defaults[n]} | dict(self.extra)

    def flat(self) -> dict[str, Any]:
        """All fields with their values, each sampler setting as `sampler_settings.NAME`, each of the statistic as
        `statistic.NAME`.

        A trade-off that is not mentioned appears with its unused value, so that silence compares equal to it.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        settings, extra = {**TRADE_OFFS, **fields.pop("sampler_settings")}, fields.pop("extra")
        definition = {f"statistic.{name}": value for name, value in fields.pop("statistic").items()}
        return fields | definition | {SETTING + name: value for name, value in settings.items()} | dict(extra)

    def question(self, strict: bool = False) -> Question:
        """The fields that must agree for two scores to share a column (`question.merge_questions`).

        Args:
            strict: Whether to count the fields of the answer too.
        """
        asked = {name: value for name, value in self.flat().items() if strict or not is_answer(name)}
        return asked | {"weights": None} if self.weights == "unknown" else asked

    def answer(self) -> dict[str, Scalar]:
        """How this model came to its number: the fields off the question side that say something."""
        return {n: value for n, value in self.flat().items() if is_answer(n) and value is not None}

    def column_key(self, strict: bool = False) -> str:
        """Equal for two protocols exactly if their questions are.

        Args:
            strict: Whether to count the fields of the answer too.
        """
        return canonical(self.question(strict))


def sha256_of(tree: Mapping[str, Any]) -> str:
    """sha256 (hex) of the canonical JSON of a tree of plain values."""
    return hashlib.sha256(canonical(tree).encode()).hexdigest()


def _default(f: dataclasses.Field[Any]) -> Any:
    return f.default if f.default_factory is MISSING else f.default_factory()


def _plain(name: str, value: Scalar) -> Scalar:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"protocol.{name} is not finite: {value}")
        # YAML's 1 and 1.0 are one setting and must have one hash.
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(f"protocol.{name} is not a plain scalar: {value!r}")
