"""The two sides of a protocol: what is asked of a model, and how the model answers.

- The **question**: data and its hash, split, counts, reference, feature network, resize, IS splits, weights
  (averaged or raw), precision, seed and its generator, and the sampler settings that trade diversity for quality
  (`TRADE_OFFS`). Scores whose questions differ are never put into one column.
- The **answer**: how this model came to the number. `estimator` and `draws` for a likelihood, `sampler` and
  its step settings for samples, the halflife of the average. An exact likelihood, an ELBO and an
  importance-weighted bound answer the same question, and the sign printed before the number says how
  firmly; 10 steps and 1,000 steps of a sampler answer it at another price. They share a column and each cell
  carries a footnote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

Scalar = str | int | float | bool | None
Question = Mapping[str, Any]
"""Fields of `Protocol.flat` with their values: scalars, but for keys that this version does not know."""

TRADE_OFFS: Mapping[str, Scalar] = {
    "temperature": 1,
    "truncation": None,
    "guidance": None,
    "class_conditional": False,
}
"""Sampler settings that change what is asked of the model, each with the value that means "not used".

A protocol that does not mention one of them asks the same as one that states the unused value.
"""

ANSWER_FIELDS = frozenset({"sampler", "estimator", "draws", "replicates", "ema_halflife_examples"})
"""Fields that say how a model answers. `sampler_settings` belong here too, `TRADE_OFFS` excepted."""

INDEPENDENT = ("data_hash", "split", "num_examples", "weights", "precision", "seed", "generator")
"""Fields that are None where the number cannot depend on them, and `weights` that are unknown; None agrees with every
value."""

REFERENCE = ("reference_split", "reference_hash")
"""Fields that are None where samples are compared with no real data."""

SETTING = "sampler_settings."
SHA256 = re.compile(r"[0-9a-f]{64}")


def canonical(value: object) -> str:
    """JSON of a value in its one form: keys sorted, no blanks, ASCII.

    >>> canonical({"b": 1.0, "a": None})
    '{"a":null,"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def is_answer(name: str) -> bool:
    """Whether a field of `Protocol.flat` says how a model answers, rather than what is asked.

    A field that this version does not know counts as part of the question: two columns too many can be read, two
    questions in one column cannot.
    """
    return name in ANSWER_FIELDS or (name.startswith(SETTING) and short(name) not in TRADE_OFFS)


def merge_questions(a: Question, b: Question, free: Collection[str] = INDEPENDENT) -> dict[str, Any] | None:
    """The question that scores under both answer; None where the two differ.

    Args:
        a: A question.
        b: Another.
        free: Names of the fields on which None agrees with every value; the result holds the value.

    >>> merge_questions({"split": "test", "seed": None}, {"split": "test", "seed": 3})
    {'split': 'test', 'seed': 3}
    >>> merge_questions({"split": "test", "seed": 4}, {"split": "test", "seed": 3}) is None
    True
    """
    merged = {}
    for name in {**a, **b}:
        left, right = a.get(name), b.get(name)
        if name in free and (left is None or right is None):
            merged[name] = right if left is None else left
        elif _equal(left, right):
            merged[name] = left
        else:
            return None
    return merged


def differing_fields(left: Question, right: Question) -> tuple[str, ...]:
    """Names of all fields on which the `Protocol.flat` of two protocols disagree, in the fields' order."""
    return tuple(n for n in {**left, **right} if not _equal(left.get(n), right.get(n)))


def short(name: str) -> str:
    """A field's name for display: settings lose their prefix.

    >>> short("sampler_settings.temperature")
    'temperature'
    """
    return name.removeprefix(SETTING)


def shown(value: Any) -> str:
    """A field's value for display: hashes are cut to 8 digits.

    >>> shown("ab" * 32), shown(None), shown(0.5), shown(True)
    ('abababab', 'none', '0.5', 'yes')
    """
    if isinstance(value, str):
        return value[:8] if SHA256.fullmatch(value) else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)


def _equal(a: Any, b: Any) -> bool:
    # To Python True and 1 are equal, and to JSON they are not.
    return type(a) is type(b) and a == b and (not isinstance(a, dict | list) or canonical(a) == canonical(b))
