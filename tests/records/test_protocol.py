"""The hash covers what changes a number; columns split by questions and not by answers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from lit_gen.records import version1
from lit_gen.records.protocol import Protocol
from lit_gen.records.question import ANSWER_FIELDS, INDEPENDENT, differing_fields, merge_questions

from .makers import FD, OTHER

FIELDS = [field.name for field in dataclasses.fields(Protocol) if field.name != "extra"]
RAW = dataclasses.replace(FD, ema_halflife_examples=None)


BASES = {"weights": RAW, "generator": dataclasses.replace(FD, generator="splitmix64-v1")}


def changed(name: str) -> Protocol:
    return dataclasses.replace(BASES.get(name, FD), **{name: OTHER[name]})


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_hashed(name: str) -> None:
    base = BASES.get(name, FD)
    assert changed(name).hash != base.hash


def test_hash_is_that_of_the_canonical_json_without_defaults() -> None:
    fields = {name: value for name, value in dataclasses.asdict(FD).items() if value not in (None, {})}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert FD.hash == hashlib.sha256(text.encode()).hexdigest()
    assert FD.hash == dataclasses.replace(FD).hash


def test_hashes_are_what_they_were() -> None:
    """Records are out there: whoever changes these two literals makes every one of them unreadable."""
    assert FD.hash == "dc493cd40849bd00f0f32ae9fb9e6fb5d06630aa57c9c52c8581c20b9f945b91"
    assert version1.protocol_hash(FD) == "c4fe791308570d68689e18185e6de0ede1ea334d7fe786083ed03801078eb9f0"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grown(Protocol):
    """The protocol of a later program: one more optional field."""

    resolution: int | None = None


def test_a_new_optional_field_leaves_old_hashes_alone() -> None:
    fields = {field.name: getattr(FD, field.name) for field in dataclasses.fields(FD)}
    assert Grown(**fields).hash == FD.hash
    assert version1.protocol_hash(Grown(**fields)) == version1.protocol_hash(FD)
    used = Grown(**fields, resolution=32)
    assert used.hash != FD.hash
    # Who does not know the field has it as an extra key, and comes to the same hash.
    assert dataclasses.replace(FD, extra={"resolution": 32}).hash == used.hash


def test_an_unknown_key_is_part_of_the_question() -> None:
    other = dataclasses.replace(FD, extra={"resolution": 32})
    assert differing_fields(FD.flat(), other.flat()) == ("resolution",)
    assert merge_questions(FD.question(), other.question()) is None
    with pytest.raises(ValueError, match=r"protocol\.seed is a field"):
        dataclasses.replace(FD, extra={"seed": 1})


@pytest.mark.parametrize("name", INDEPENDENT)
def test_null_agrees_with_every_value(name: str) -> None:
    base = BASES.get(name, FD)
    free = dataclasses.replace(base, **{name: "unknown" if name == "weights" else None})
    assert free.hash != base.hash
    assert merge_questions(free.question(), base.question()) == base.question()
    assert merge_questions(changed(name).question(), free.question()) == changed(name).question()
    assert merge_questions(changed(name).question(), base.question()) is None


@pytest.mark.parametrize("name", FIELDS)
def test_columns_split_by_the_question_alone_unless_strict(name: str) -> None:
    base = BASES.get(name, FD)
    answer = name in ANSWER_FIELDS or name == "sampler_settings"
    assert (changed(name).column_key() == base.column_key()) is answer
    assert changed(name).column_key(strict=True) != base.column_key(strict=True)


@pytest.mark.parametrize("name", FIELDS)
def test_the_differing_field_is_named(name: str) -> None:
    base = BASES.get(name, FD)
    inside = {"sampler_settings": "sampler_settings.function_evaluations", "statistic": "statistic.k"}
    expected = inside.get(name, name)
    assert differing_fields(base.flat(), changed(name).flat()) == (expected,)
    assert differing_fields(base.flat(), base.flat()) == ()


@pytest.mark.parametrize(("name", "value"), [("temperature", 0.7), ("truncation", 2.0), ("guidance", 4.0),
                                             ("class_conditional", True)])
def test_trading_diversity_for_quality_is_another_question(name: str, value: Any) -> None:
    traded = dataclasses.replace(FD, sampler_settings={**FD.sampler_settings, name: value})
    assert traded.column_key() != FD.column_key()
    assert differing_fields(FD.flat(), traded.flat()) == (f"sampler_settings.{name}",)


def test_an_unused_trade_off_may_be_stated_or_left_out() -> None:
    stated = dataclasses.replace(FD, sampler_settings={**FD.sampler_settings, "temperature": 1.0})
    assert stated.column_key() == FD.column_key()
    assert stated.hash != FD.hash  # more is said, and the record keeps what was said


def test_settings_are_sorted_and_integral_floats_are_integers() -> None:
    a = dataclasses.replace(FD, sampler_settings={"steps": 50.0, "eta": 0.5})
    b = dataclasses.replace(FD, sampler_settings={"eta": 0.5, "steps": 50})
    assert a.hash == b.hash
    assert list(a.sampler_settings) == ["eta", "steps"]


def test_true_and_one_are_two_settings() -> None:
    a = dataclasses.replace(FD, sampler_settings={"clip": True})
    b = dataclasses.replace(FD, sampler_settings={"clip": 1})
    assert a.hash != b.hash
    assert differing_fields(a.flat(), b.flat()) == ("sampler_settings.clip",)


@pytest.mark.parametrize("fields", [
    {"data_hash": "digits"}, {"extractor_sha256": "C" * 64}, {"num_samples": 0}, {"num_examples": -1},
    {"weights": "averaged"}, {"weights": "raw"}, {"ema_halflife_examples": 0.0},
    {"sampler_settings": {"eta": float("nan")}}, {"sampler_settings": {"betas": [0.1, 0.2]}},
])
def test_impossible_values_raise(fields: dict[str, Any]) -> None:
    # Raw weights clash with the halflife that FD states, and the message names the latter.
    name = "ema_halflife_examples" if fields == {"weights": "raw"} else next(iter(fields))
    with pytest.raises(ValueError, match=f"protocol.{name}"):
        dataclasses.replace(FD, **fields)
