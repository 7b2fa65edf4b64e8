"""Generated protocols, scores and records that the schema allows, and files that it may not."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

from hypothesis import strategies as st
from properties import JSON, TEXTS, inside, places

from lit_gen.records.protocol import Protocol
from lit_gen.records.question import TRADE_OFFS
from lit_gen.records.record import SCHEMA_VERSION, Cost, Record, Score, Selection
from lit_gen.records.schema import decode, encode
from lit_gen.records.validation import Validation

from .makers import FD, make_record

Tree = dict[str, Any]
FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(0, exclude_min=True, allow_infinity=False)
COUNTS = st.integers(1, 10**12)
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
PLAIN = st.none() | st.booleans() | st.integers() | FINITE | TEXTS
SETTINGS = st.dictionaries(TEXTS | st.sampled_from([*TRADE_OFFS]), PLAIN, max_size=3)
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=4
)
# Names that no field has, in this version.
EXTRA = st.dictionaries(TEXTS.map(lambda name: f"later {name}"), TREES, max_size=2)


def _or_none(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "data": TEXTS, "data_hash": _or_none(HASHES), "split": _or_none(st.sampled_from(["train", "val", "test"])),
    "num_examples": _or_none(COUNTS), "weights": st.sampled_from(["ema", "raw", "none", "unknown"]),
    "precision": _or_none(TEXTS), "seed": _or_none(st.integers()), "generator": _or_none(TEXTS),
    "reference_split": _or_none(TEXTS), "reference_hash": _or_none(HASHES), "num_samples": _or_none(COUNTS),
    "extractor": _or_none(TEXTS), "extractor_sha256": _or_none(HASHES), "transform": _or_none(TEXTS),
    "is_splits": _or_none(COUNTS), "statistic": SETTINGS, "sampler": _or_none(TEXTS), "sampler_settings": SETTINGS,
    "estimator": _or_none(TEXTS), "draws": _or_none(COUNTS), "replicates": _or_none(COUNTS), "extra": EXTRA,
}
"""Values of each field of a protocol, but for the metric and the halflife, which depend on others."""


@st.composite
def protocols(draw: st.DrawFn, **given: Any) -> Protocol:
    """A protocol, with half of its fields as in a usual one: many of one record then share a column."""
    named = draw(st.sets(st.sampled_from([*FIELDS])))
    fields = {"metric": "bpd", "ema_halflife_examples": None} | {name: draw(FIELDS[name]) for name in sorted(named)}
    found = dataclasses.replace(FD, **(fields | given))
    if found.weights == "ema":
        found = dataclasses.replace(found, ema_halflife_examples=draw(_or_none(POSITIVE)))
    return found


@st.composite
def scores(draw: st.DrawFn, **given: Any) -> Score:
    """A likelihood, a distance of features, or a metric of a name of its own."""
    error = draw(_or_none(st.floats(0, allow_infinity=False)))
    metric = draw(st.sampled_from(["bpd", "nll", "fd_mnist_cnn", "own"]))
    fields: Tree = {"name": metric, "standard_error": error, "extra": draw(EXTRA), "note": draw(TEXTS)}
    if metric == "own":
        fields |= {"label": "own", "unit": draw(st.sampled_from(["", "m"])), "higher_is_better": draw(st.booleans())}
    likelihood = metric in ("bpd", "nll")
    fields["kind"] = draw(st.sampled_from(["exact", "bound", "estimate"])) if likelihood else None
    fields["value"] = draw(st.floats(0, allow_infinity=False) if likelihood else FINITE)
    network = {"extractor": "mnist_cnn"} if metric == "fd_mnist_cnn" else {}
    return Score(**fields, protocol=draw(protocols(metric=metric, **network, **given)))


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record of up to three scores and a baseline."""
    several = draw(st.lists(scores(), max_size=3, unique_by=lambda score: score.protocol.hash))
    baselines = draw(st.lists(scores(weights="none", sampler="real train images"), max_size=1))
    seconds = draw(_or_none(st.floats(0, allow_infinity=False)))
    validations = [Validation(examples_seen=10 * i, value=draw(FINITE), seconds=seconds) for i in range(2)]
    selection = Selection(rule=draw(TEXTS), checkpoint="best.ckpt", step=3, metric="val/bpd", value=draw(FINITE),
                          validations=tuple(validations), extra=draw(EXTRA))
    cost = Cost(parameters=draw(_or_none(st.integers(0))), train_seconds=seconds, extra=draw(EXTRA))
    return make_record(
        *several, baselines=baselines, run_name=draw(TEXTS), model=draw(TEXTS), seed=draw(st.integers()), cost=cost,
        selection=selection, notes=draw(st.dictionaries(TEXTS, PLAIN, max_size=2)), extra=draw(EXTRA),
        config=draw(st.dictionaries(TEXTS, TREES, max_size=2)), entropy=draw(st.sampled_from([{}, {"own": 3.0}])),
        class_names=tuple(draw(st.lists(TEXTS, max_size=2))),
    )


def tree_of(record: Record) -> Tree:
    """What `write_record` writes, without the disk."""
    tree: Tree = json.loads(json.dumps({"schema_version": SCHEMA_VERSION, **encode(record)}))
    _fit_hashes(tree)
    return tree


@st.composite
def changed(draw: st.DrawFn, tree: Tree) -> Tree:
    """The tree of a record's file with one value replaced, removed or added; hashes fit the protocols if they can."""
    found = copy.deepcopy(tree)
    path = draw(st.sampled_from(places(tree)))
    holder = inside(found, path)
    how = draw(st.sampled_from(["replaced", "replaced", "removed", "added"]))
    if how == "replaced":
        holder[path[-1]] = draw(JSON)
    elif how == "removed":
        del holder[path[-1]]
    elif isinstance(holder, list):
        holder.append(draw(JSON | st.just(copy.deepcopy(holder[0]))))
    else:
        holder[draw(st.text(max_size=8))] = draw(JSON)
    if draw(st.booleans()):
        _fit_hashes(found)
    return found


def _fit_hashes(tree: Tree) -> None:
    for part in ("scores", "baselines"):
        several = tree.get(part)
        for score in several if isinstance(several, list) else ():
            try:
                # As a file is read, in which numbers beyond the range of floats are infinite.
                score["protocol_hash"] = decode(Protocol, json.loads(json.dumps(score["protocol"])), "").hash
            except (ValueError, TypeError, KeyError, OverflowError):
                continue
