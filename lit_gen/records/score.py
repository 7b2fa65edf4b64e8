"""A score: a number with its error, its kind, the way it is printed, and the protocol it was taken under.

A score carries its own label, unit, direction and decimals, so that a metric of any name can be recorded and shown.
`METRICS` holds the defaults of known names. A known metric that rests on a feature network other than Inception has
that network's name after an underscore, in its own name and in print: `fd_mnist_cnn` is shown as `FD-mnist_cnn`.
`FID` and `IS` without a name are Inception's alone, with the weights that torch-fidelity publishes; with others they
are `fd_inception` and `is_inception`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from lit_gen.errors import nearest
from lit_gen.records.environment import Environment
from lit_gen.records.error_parts import ErrorParts
from lit_gen.records.impossible import ImpossibleScoreError, impossible
from lit_gen.records.protocol import Protocol

Kind = Literal["exact", "bound", "estimate"]

SIGNS: Mapping[str, str] = {"exact": "=", "bound": "<=", "estimate": "~="}
"""How firmly a negative log-likelihood is known: equal to, at most, or about the number printed."""

MOST_DECIMALS = 12
_DECIMALS = 2  # where neither score nor METRICS says


class Metric(NamedTuple):
    """Defaults of a known metric: what a score that does not state them takes, and what it is checked for."""

    label: str
    unit: str
    higher_is_better: bool
    decimals: int
    likelihood: bool = False
    from_features: bool = False


METRICS: Mapping[str, Metric] = {
    "bpd": Metric("bits/dim", "bits/dim", False, 2, likelihood=True),
    "nll": Metric("NLL", "nats", False, 2, likelihood=True),
    "fid": Metric("FID", "", False, 2, from_features=True),
    "fd": Metric("FD", "", False, 2, from_features=True),
    "jsd": Metric("JSD", "bits", False, 3, from_features=True),
    "is": Metric("IS", "", True, 2, from_features=True),
    "kid": Metric("KID", "", False, 4, from_features=True),
    "precision": Metric("precision", "", True, 3, from_features=True),
    "recall": Metric("recall", "", True, 3, from_features=True),
    "density": Metric("density", "", True, 3, from_features=True),
    "coverage": Metric("coverage", "", True, 3, from_features=True),
    "authpct": Metric("AuthPct", "%", True, 1, from_features=True),
}


def default_metric(name: str, dimension: str = "dim") -> Metric:
    """The defaults of a known metric, by its name in a record.

    >>> default_metric("fd_mnist_cnn").label, default_metric("bpd").unit, default_metric("is").higher_is_better
    ('FD-mnist_cnn', 'bits/dim', True)
    >>> default_metric("bpd", "character").label
    'bits/character'

    Args:
        name: The metric's name.
        dimension: Name of one dimension of the data.

    Raises:
        ValueError: The name is none of `METRICS`, with or without a feature network's name behind it; `fd` or `jsd`
            names none, or `fid` names one.
    """
    base, _, network = name.partition("_")
    found = METRICS.get(base)
    if found is None or (network and not found.from_features):
        hint = f"{nearest(name, METRICS)}; a metric of another name states its label, unit and higher_is_better"
        raise ValueError(f"unknown metric {name!r}{hint}")
    if (base == "fd" and not network) or (base == "fid" and network):
        raise ValueError(f"metric {name!r}: a distance is 'fid' under torch-fidelity's Inception, else 'fd_<network>'")
    if base == "jsd" and not network:
        raise ValueError("metric 'jsd': a divergence says of what, as 'jsd_3grams'")
    if base == "bpd":
        return found._replace(label=f"bits/{dimension}", unit=f"bits/{dimension}")
    return found._replace(label=f"{found.label}-{network}") if network else found


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number of one run.

    Attributes:
        name: The metric's name: a key of `METRICS`, one followed by `_<network>`, or any other.
        value: The value, in `unit`.
        standard_error: Standard error of the value, in the same unit; None where it was not estimated.
        kind: For a likelihood, how firmly the value is known; None for every other metric.
        label: The metric's name in print. It, `unit` and `higher_is_better` may be left out where `METRICS` knows
            the name.
        unit: Unit of the value; empty for a pure number.
        higher_is_better: Whether a higher value is better.
        decimals: Number of digits printed after the point, where the standard error does not ask for more.
        protocol: Everything that the value depends on.
        scored_with: Environment where the score was taken, if elsewhere than the run trained; no part of the protocol.
        error: What the standard error of a likelihood consists of; None where its parts were not measured.
        per_example: Path of the file of per-example values, relative to the record's directory; None if there is none.
        own_sampling: Whether samples were drawn with the run's own options, rather than with one of several variants
            that were tried on the checkpoint.
        arguments: Options of the evaluation that took the score, beside the checkpoint's own configuration.
        note: What a reader must know beside the protocol, in words; empty for most.
        extra: Keys of the file that this version does not know, with their values.

    Raises:
        ValueError: The value is not finite (a failed metric is left out of the record), an unknown metric does not
            state label, unit and direction, a known one states another direction, has a kind without being a
            likelihood or the reverse, or names another feature network than the protocol, or the protocol is another
            metric's. `ImpossibleScoreError`, a `ValueError`: a likelihood is below zero by more than its error.
    """

    name: str
    value: float
    standard_error: float | None = None
    kind: Kind | None = None
    # None stands for METRICS' default while a score is built, and never after.
    label: str = None  # type: ignore[assignment]
    unit: str = None  # type: ignore[assignment]
    higher_is_better: bool = None  # type: ignore[assignment]
    decimals: int = None  # type: ignore[assignment]
    protocol: Protocol
    # Dicts cannot be hashed, and need not be: the protocol distinguishes scores.
    scored_with: Environment | None = field(default=None, hash=False)
    error: ErrorParts | None = field(default=None, hash=False)
    per_example: str | None = field(default=None, hash=False)
    own_sampling: bool = True
    arguments: Sequence[str] = field(default=(), hash=False)
    note: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        known = self._take_defaults()
        self._check_numbers()
        if self.protocol.metric != self.name:
            raise ValueError(f"score {self.name} carries a protocol of metric {self.protocol.metric!r}")
        if known is not None:
            self._check_known(known)
        if why := self.impossible({}):
            raise ImpossibleScoreError(f"score {why}; check that the model's probabilities sum to one")

    def _take_defaults(self) -> Metric | None:
        """Fills in what is not stated; returns the defaults, None for an unknown name that states enough."""
        base = METRICS.get(self.name.partition("_")[0])
        stated = None not in (self.label, self.unit, self.higher_is_better)
        # What begins like a metric of features claims to be one, and must name them rightly.
        own = stated and self.name not in METRICS and not (base and base.from_features)
        known = None if own else default_metric(self.name)
        for name in ("label", "unit", "higher_is_better", "decimals"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(known, name, _DECIMALS))
        return known

    def _check_numbers(self) -> None:
        object.__setattr__(self, "value", float(self.value))
        if not math.isfinite(self.value):
            raise ValueError(f"score {self.name} is not finite: {self.value}; leave a failed metric out")
        if self.standard_error is not None:
            object.__setattr__(self, "standard_error", float(self.standard_error))
            if not 0 <= self.standard_error < math.inf:
                raise ValueError(f"score {self.name} has a standard error of {self.standard_error}")
        if not self.label or not (self.name + self.label + self.unit).isprintable():
            raise ValueError(f"score {self.name!r} needs a name, a label and a unit in printable characters, "
                             f"got {self.label!r} and {self.unit!r}")
        if not 0 <= self.decimals <= MOST_DECIMALS:
            raise ValueError(f"score {self.name} has {self.decimals} decimals; 0 to {MOST_DECIMALS} can be printed")
        if self.kind not in (None, *SIGNS):
            raise ValueError(f"score {self.name} needs a kind out of {', '.join(SIGNS)}, got {self.kind!r}")

    def _check_known(self, known: Metric) -> None:
        if self.higher_is_better != known.higher_is_better:
            way = "higher" if known.higher_is_better else "lower"
            raise ValueError(f"score {self.name} states the wrong direction: {way} is better")
        if known.likelihood and self.kind is None:
            raise ValueError(f"score {self.name} needs a kind out of {', '.join(SIGNS)}, got None")
        if not known.likelihood and self.kind is not None:
            raise ValueError(f"score {self.name} is no likelihood and has no kind, got {self.kind!r}")
        if known.from_features:
            network = self.name.partition("_")[2] or "inception"
            if self.protocol.extractor != network:
                raise ValueError(f"score {self.name} claims features of {network!r}, "
                                 f"its protocol says {self.protocol.extractor!r}")

    @property
    def heavy_tailed(self) -> bool:
        """Whether a tail is too heavy for the value and its error to be reliable."""
        return self.error is not None and self.error.heavy_tailed

    def impossible(self, entropy: Mapping[str, float]) -> str:
        """The reason why no model can have this likelihood; empty if one can, or it is none (`impossible.py`).

        Args:
            entropy: Entropy of the data by the name of the score in whose unit it is.
        """
        return impossible(self.name, self.value, self.standard_error, self.kind, self.protocol.split, entropy)

    @property
    def guaranteed(self) -> bool:
        """Whether the value is one the model certainly attains; an estimate of a likelihood is not."""
        return self.kind != "estimate"


def in_dimension(score: Score, dimension: str) -> Score:
    """The score with `dimension` for the `dim` of bits/dim, if its label and unit are those of `METRICS`."""
    default = METRICS["bpd"]
    if score.name != "bpd" or dimension == "dim" or (score.label, score.unit) != (default.label, default.unit):
        return score
    return dataclasses.replace(score, label=f"bits/{dimension}", unit=f"bits/{dimension}")
