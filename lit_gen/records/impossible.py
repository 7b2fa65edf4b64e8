"""Likelihoods that no model can have: a probability above one, or a code shorter than the entropy of the data.

All data are discrete, so no probability exceeds one and no negative log-likelihood is below zero. The mean over
examples that the model has not seen is at least the entropy of their source, in expectation. A lower value, beyond what
its error explains, comes from a mistake in the model or its estimator, and says nothing about quality.
"""

from __future__ import annotations

from collections.abc import Mapping

from lit_gen.errors import UserError

LIKELIHOODS = ("bpd", "nll")
"""Names of the scores that are negative log-likelihoods of discrete data."""

TOLERANCE = 3
"""Number of standard errors by which a value may lie below its limit."""


class ImpossibleScoreError(ValueError, UserError):
    """A likelihood that no model can have; a command prints it in one line."""


def impossible(
    name: str, value: float, standard_error: float | None, kind: str | None, split: str | None,
    entropy: Mapping[str, float],
) -> str:
    """The reason why no model can have a likelihood, in words; empty if one can.

    An estimate may be too low by its own error, which is not known, so none is called impossible.

    Args:
        name: The score's name.
        value: Its value.
        standard_error: Its standard error; None counts as 0.
        kind: `exact`, `bound`, `estimate`, or None for other scores.
        split: The split that was scored. What was trained on (`train`) may have a code shorter than the entropy.
        entropy: Entropy of the data by the name of the score in whose unit it is; empty where it is not known.

    >>> impossible("bpd", -0.5, 0.01, "exact", "test", {})
    'bpd -0.5 is below zero by more than 3 standard errors, a probability above one'
    """
    if name not in LIKELIHOODS or kind not in ("exact", "bound"):
        return ""
    highest = value + TOLERANCE * (standard_error or 0.0)
    if highest < 0:
        return f"{name} {value:.6g} is below zero by more than {TOLERANCE} standard errors, a probability above one"
    if split != "train" and highest < entropy.get(name, 0.0):
        return (f"{name} {value:.6g} is below the entropy of the data, {entropy[name]:.6g}, "
                f"by more than {TOLERANCE} standard errors")
    return ""
