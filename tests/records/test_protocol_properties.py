"""Laws of protocols: what a hash covers, and which questions are one."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from properties import lengths

from lit_gen.records.protocol import Protocol
from lit_gen.records.question import INDEPENDENT, canonical, differing_fields, merge_questions
from lit_gen.records.schema import decode, encode

from .strategies import FIELDS, TREES, protocols


def _shuffled(tree: Any, order: random.Random) -> Any:
    if isinstance(tree, list):
        return [_shuffled(item, order) for item in tree]
    if not isinstance(tree, dict):
        return tree
    names = list(tree)
    order.shuffle(names)
    return {name: _shuffled(tree[name], order) for name in names}


@lengths()
def test_a_hash_does_not_depend_on_the_order_of_keys(length: settings) -> None:
    @length
    @given(protocols(), st.randoms(use_true_random=False))
    def holds(protocol: Protocol, order: random.Random) -> None:
        tree = json.loads(json.dumps(encode(protocol)))
        read = decode(Protocol, _shuffled(tree, order), "")
        assert read.hash == protocol.hash
        assert read == protocol

    holds()


@lengths()
def test_a_hash_changes_exactly_with_the_protocol(length: settings) -> None:
    @length
    @given(protocols(), st.sampled_from([*FIELDS]), st.data())
    def holds(protocol: Protocol, name: str, data: st.DataObject) -> None:
        halflife = {} if name != "weights" else {"ema_halflife_examples": None}
        base = dataclasses.replace(protocol, **halflife)
        other = dataclasses.replace(base, **{name: data.draw(FIELDS[name])})
        same = canonical(base.stated()) == canonical(other.stated())
        assert (base.hash == other.hash) is same
        assert (differing_fields(base.flat(), other.flat()) == ()) or not same

    holds()


@lengths()
def test_values_of_one_canonical_form_are_the_same(length: settings) -> None:
    @length
    @given(TREES, TREES)
    def holds(a: Any, b: Any) -> None:
        assert json.loads(canonical(a)) == a
        assert canonical(copy.deepcopy(a)) == canonical(a)
        if canonical(a) == canonical(b):
            assert a == b

    holds()


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two questions that differ in few fields, if in any."""
    first = draw(protocols())
    fields = {name: draw(FIELDS[name]) for name in draw(st.sets(st.sampled_from([*FIELDS]), max_size=2))}
    halflife = {} if "weights" not in fields else {"ema_halflife_examples": None}
    second = dataclasses.replace(first, **halflife, **fields)
    return dict(first.question()), dict(second.question())


@lengths()
def test_questions_merge_by_the_fields_on_which_they_agree(length: settings) -> None:
    @length
    @given(_pairs())
    def holds(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
        a, b = pair
        merged = merge_questions(a, b)
        assert merged == merge_questions(b, a)
        assert merge_questions(a, a) == a
        differing = differing_fields(a, b)
        # None agrees with every value in the fields of which the number may be independent, and in no other.
        agree = all(name in INDEPENDENT and None in (a.get(name), b.get(name)) for name in differing)
        assert (merged is not None) is agree
        assert (merge_questions(a, b, free=()) is not None) is (differing == ())
        if merged is not None:
            assert merge_questions(merged, a) == merge_questions(merged, b) == merged
            assert all(merged[name] in (a.get(name), b.get(name)) for name in merged)

    holds()


@lengths()
def test_unknown_weights_agree_with_all(length: settings) -> None:
    @length
    @given(protocols(), st.sampled_from(["ema", "raw", "none"]))
    def holds(protocol: Protocol, weights: str) -> None:
        base = dataclasses.replace(protocol, ema_halflife_examples=None)
        known = dataclasses.replace(base, weights=weights)
        unknown = dataclasses.replace(base, weights="unknown")
        assert merge_questions(known.question(), unknown.question()) == known.question()

    holds()
