"""A score: a number that knows its error, its kind and the protocol it was taken under.

The metrics this room can print are listed in `METRICS`. A metric that rests on a feature network other than
Inception bears that network's name after an underscore, in its own name and in print: `fd_mnist_cnn` is shown
as `FD-mnist_cnn`. `FID` and `IS` without a name are Inception's alone, with the weights that
torch-fidelity publishes; with others they are `fd_inception` and `is_inception`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from lit_gen.errors import nearest
from lit_gen.records.environment import Environment
from lit_gen.records.protocol import Protocol

Kind = Literal["exact", "bound", "estimate"]

SIGNS: Mapping[str, str] = {"exact": "=", "bound": "<=", "estimate": "~="}
"""How firmly a negative log-likelihood is known: equal to, at most, or about the number printed."""


class Metric(NamedTuple):
    """How a metric is printed and read."""

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
}


def metric(name: str, dimension: str = "dim") -> Metric:
    """What is known of a metric, by its name in a record.

    >>> metric("fd_mnist_cnn").label, metric("bpd").unit, metric("is").higher_is_better
    ('FD-mnist_cnn', 'bits/dim', True)
    >>> metric("bpd", "character").label
    'bits/character'

    Args:
        name: The metric's name.
        dimension: What one dimension of the data is called.

    Raises:
        ValueError: The name is none of `METRICS`, with or without a feature network's name behind it; `fd` or `jsd`
            names none, or `fid` names one.
    """
    base, _, network = name.partition("_")
    found = METRICS.get(base)
    if found is None or (network and not found.from_features):
        raise ValueError(f"unknown metric {name!r}{nearest(name, METRICS)}")
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
        name: The metric's name: a key of `METRICS`, or one followed by `_<network>`.
        value: In the metric's unit: bits per dimension for `bpd`, nats per example for `nll`, bits for `jsd_3grams`.
        standard_error: Of the value, in the same unit; None where it was not estimated.
        kind: For a likelihood, how firmly the value is known; None for every other metric.
        protocol: What the value depends on.
        scored_with: Where the score was taken, if elsewhere than the run trained; no part of the protocol.

    Raises:
        ValueError: A value that is not finite (a failed metric is left out of the record), an unknown
            metric, a kind on a metric that has none or the reverse, a protocol taken for another metric, or
            a name that claims another feature network than the protocol's.
    """

    name: str
    value: float
    standard_error: float | None
    kind: Kind | None
    protocol: Protocol
    # Its dict cannot be hashed, and need not be: the protocol tells scores apart.
    scored_with: Environment | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        known = metric(self.name)
        object.__setattr__(self, "value", float(self.value))
        if not math.isfinite(self.value):
            raise ValueError(f"score {self.name} is not finite: {self.value}; leave a failed metric out")
        if self.standard_error is not None:
            object.__setattr__(self, "standard_error", float(self.standard_error))
            if not 0 <= self.standard_error < math.inf:
                raise ValueError(f"score {self.name} has a standard error of {self.standard_error}")
        if known.likelihood and self.kind not in SIGNS:
            raise ValueError(f"score {self.name} needs a kind out of {', '.join(SIGNS)}, got {self.kind!r}")
        if not known.likelihood and self.kind is not None:
            raise ValueError(f"score {self.name} is no likelihood and has no kind, got {self.kind!r}")
        if self.protocol.metric != self.name:
            raise ValueError(f"score {self.name} carries a protocol of metric {self.protocol.metric!r}")
        if known.from_features:
            network = self.name.partition("_")[2] or "inception"
            if self.protocol.extractor != network:
                raise ValueError(f"score {self.name} claims features of {network!r}, "
                                 f"its protocol says {self.protocol.extractor!r}")

    @property
    def metric(self) -> Metric:
        """How the score is printed and read."""
        return metric(self.name)

    @property
    def higher_is_better(self) -> bool:
        """Which way is up."""
        return self.metric.higher_is_better

    @property
    def guaranteed(self) -> bool:
        """Whether the value is one the model certainly attains; an estimate of a likelihood is not."""
        return self.kind != "estimate"
