"""What a score depends on, and which scores may share a column.

Two numbers with the same name are often answers to different questions: another count of samples, another
feature network, another split. A `Protocol` states everything that changes the number, and its hash travels
with the score. It has two sides:

- the **question**: data and its hash, split, counts, reference, feature network, resize, IS splits, weights
  (averaged or raw), precision, seed, and the sampler settings that trade diversity for quality
  (`TRADE_OFFS`). Scores whose questions differ are never put into one column;
- the **answer**: how this model came to the number. `estimator` and `draws` for a likelihood, `sampler` and
  its step settings for samples, the halflife of the average. An exact likelihood, an ELBO and an
  importance-weighted bound answer the same question, and the sign printed before the number says how
  firmly; 10 steps and 1,000 steps of a sampler answer it at another price. They share a column and each cell
  carries a footnote. `strict` moves all of them to the question side.

Library versions, machine and world size are not here: they are recorded beside the score
(`record.Environment`), because a score that depended on them would be a bug to find, not a column to split.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool | None

TRADE_OFFS: Mapping[str, Scalar] = {
    "temperature": 1,
    "truncation": None,
    "guidance": None,
    "class_conditional": False,
}
"""Sampler settings that change what is asked of the model, each with the value that means "not used".

A protocol that does not mention one of them asks the same as one that states the unused value.
"""

ANSWER_FIELDS = frozenset({"sampler", "estimator", "draws", "ema_halflife_images"})
"""Fields that say how a model answers. `sampler_settings` belong here too, `TRADE_OFFS` excepted."""

_SETTING = "sampler_settings."
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Everything that changes one score's number.

    Attributes:
        metric: The score's name: `bpd`, `fid`, `fd_mnist_cnn` ... (see `score.py`).
        data: Name of the data set.
        data_hash: sha256 (hex) of exactly what the model sees of the split that is scored.
        split: Split that is scored, or that samples are compared with: `train`, `val` or `test`.
        num_examples: Real examples scored, or behind the reference statistics.
        reference_split: Split behind the reference statistics, where one is used.
        reference_hash: sha256 (hex) of that split's content.
        num_samples: Generated samples; None for a likelihood.
        extractor: Name of the feature network; None where none is used.
        extractor_sha256: sha256 (hex) of its weight file.
        transform: Name and version of what turns the data's integers into the network's input.
        is_splits: Number of splits of an Inception Score.
        weights: Which of the model's weights were scored: averaged (`ema`), last (`raw`), or `none` where no
            model was: a floor row such as real images.
        ema_halflife_images: Halflife of the average, in images seen; only with `ema`.
        sampler: Name of the sampler; for a floor row, what the samples are.
        sampler_settings: Its settings, function evaluations included; plain scalars, kept sorted.
        estimator: Name of the likelihood's estimator; for a floor row, what the model is.
        draws: Draws per example of that estimator; None where it draws nothing.
        precision: Arithmetic of the scored model, such as `32-true` or `bf16-mixed`.
        seed: Seed of the scoring noise (not of the training).

    Raises:
        ValueError: A field that cannot be what it says: a hash that is none, a count below one, a setting
            that is no plain finite scalar, a halflife without an average.
    """

    metric: str
    data: str
    data_hash: str
    split: str
    num_examples: int
    weights: Literal["ema", "raw", "none"]
    precision: str
    seed: int
    reference_split: str | None = None
    reference_hash: str | None = None
    num_samples: int | None = None
    extractor: str | None = None
    extractor_sha256: str | None = None
    transform: str | None = None
    is_splits: int | None = None
    ema_halflife_images: float | None = None
    sampler: str | None = None
    sampler_settings: Mapping[str, Scalar] = field(default_factory=dict)
    estimator: str | None = None
    draws: int | None = None

    def __post_init__(self) -> None:
        for name in ("data_hash", "reference_hash", "extractor_sha256"):
            value = getattr(self, name)
            if value is not None and not _SHA256.fullmatch(value):
                raise ValueError(f"protocol.{name} is no sha256 in hexadecimal: {value!r}")
        for name in ("num_examples", "num_samples", "is_splits", "draws"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"protocol.{name} must be at least 1, got {value}")
        if self.weights not in ("ema", "raw", "none"):
            raise ValueError(f"protocol.weights must be 'ema', 'raw' or 'none', got {self.weights!r}")
        if self.ema_halflife_images is not None:
            if self.weights != "ema" or not 0 < self.ema_halflife_images < math.inf:
                raise ValueError("protocol.ema_halflife_images must be positive and needs weights='ema'")
            object.__setattr__(self, "ema_halflife_images", float(self.ema_halflife_images))
        settings = {name: _plain(name, value) for name, value in sorted(self.sampler_settings.items())}
        object.__setattr__(self, "sampler_settings", settings)

    def __hash__(self) -> int:
        # The generated one would trip over the settings' dict.
        return hash(self.hash)

    @functools.cached_property
    def hash(self) -> str:
        """sha256 (hex) of the canonical JSON of all fields; its first 16 digits serve for display."""
        return hashlib.sha256(_canonical(dataclasses.asdict(self)).encode()).hexdigest()

    def flat(self) -> dict[str, Scalar]:
        """All fields with their values, each sampler setting as `sampler_settings.NAME`.

        A trade-off that is not mentioned appears with its unused value, so that silence compares equal to it.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        settings = {**TRADE_OFFS, **fields.pop("sampler_settings")}
        return fields | {_SETTING + name: value for name, value in settings.items()}

    def question(self, strict: bool = False) -> dict[str, Scalar]:
        """The fields that must agree for two scores to share a column."""
        return {name: value for name, value in self.flat().items() if strict or not is_answer(name)}

    def answer(self) -> dict[str, Scalar]:
        """How this model came to its number: the fields off the question side that say something."""
        return {n: value for n, value in self.flat().items() if is_answer(n) and value is not None}

    def column_key(self, strict: bool = False) -> str:
        """Equal for exactly those protocols whose scores may share a column.

        Args:
            strict: Every differing field splits the column, those of the answer too.
        """
        return _canonical(self.question(strict))


def is_answer(name: str) -> bool:
    """Whether a field of `Protocol.flat` says how a model answers, rather than what is asked."""
    return name in ANSWER_FIELDS or (name.startswith(_SETTING) and short(name) not in TRADE_OFFS)


def differing_fields(a: Protocol, b: Protocol) -> tuple[str, ...]:
    """Names (as in `Protocol.flat`) of all fields on which two protocols disagree, in the fields' order."""
    left, right = a.flat(), b.flat()
    names = list(left) + [name for name in right if name not in left]
    return tuple(n for n in names if _canonical(left.get(n)) != _canonical(right.get(n)))


def short(name: str) -> str:
    """A field's name for display: settings lose their prefix.

    >>> short("sampler_settings.temperature")
    'temperature'
    """
    return name.removeprefix(_SETTING)


def shown(value: Scalar) -> str:
    """A field's value for display: hashes are cut to 8 digits.

    >>> shown("ab" * 32), shown(None), shown(0.5), shown(True)
    ('abababab', 'none', '0.5', 'yes')
    """
    if isinstance(value, str):
        return value[:8] if _SHA256.fullmatch(value) else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)


def _plain(name: str, value: Scalar) -> Scalar:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"protocol.sampler_settings.{name} is not finite: {value}")
        # YAML's 1 and 1.0 are one setting and must have one hash.
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(f"protocol.sampler_settings.{name} is no plain scalar: {value!r}")


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
