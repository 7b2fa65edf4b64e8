"""A record returns as it was written; whatever else is found in its place raises an error of one line."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lit_gen.records
from lit_gen.errors import UserError
from lit_gen.records.record import (
    Cost,
    Environment,
    Protocol,
    Record,
    Score,
    Selection,
    read_record,
    write_record,
)

from .makers import BPD, FD, make_bpd, make_fd, make_record

BASELINE = make_fd(1.3, weights="none", ema_halflife_examples=None, sampler="real train images")
Tree = dict[str, Any]


def test_round_trip(tmp_path: Path) -> None:
    record = make_record(make_bpd(), make_fd(), baselines=[BASELINE], files={"sample_grid": "samples/grid.png"})
    write_record(tmp_path / "deep" / "record.json", record)
    assert read_record(tmp_path / "deep" / "record.json") == record
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["record.json"]


def test_the_environment_is_not_hashed() -> None:
    here = make_record(make_fd())
    there = dataclasses.replace(here, environment=Environment(
        versions={"torch": "9"}, machine="another", accelerator="H200", world_size=8))
    assert here != there
    assert here.scores[0].protocol.hash == there.scores[0].protocol.hash


ELSEWHERE = Environment(versions={"torch": "9"}, machine="another", accelerator="H200", world_size=8)


def test_where_a_score_was_taken_goes_with_it_and_is_not_hashed(tmp_path: Path) -> None:
    moved = dataclasses.replace(make_bpd(), scored_with=ELSEWHERE)
    write_record(tmp_path / "record.json", make_record(moved, make_fd()))
    scores = read_record(tmp_path / "record.json").scores
    assert [score.scored_with for score in scores] == [ELSEWHERE, None]
    assert moved.protocol.hash == make_bpd().protocol.hash
    assert hash(moved) == hash(make_bpd())


def test_notes_are_plain_scalars(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd(), notes={"data_skipped": 3}))
    assert read_record(path).notes == {"data_skipped": 3}
    with pytest.raises(ValueError, match=r"notes\.data_skipped"):
        write_record(path, make_record(notes={"data_skipped": [3]}))


def test_a_failed_write_leaves_the_old_record(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd()))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_record(path, make_record(config={"lr": math.nan}))
    assert read_record(path).scores == (make_bpd(),)
    assert list(tmp_path.iterdir()) == [path]


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'run_name' must be text, got a whole number"):
        write_record(tmp_path / "record.json", make_record(run_name=3))
    assert list(tmp_path.iterdir()) == []


def _set(*path: Any, to: Any) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        for key in path[:-1]:
            tree = tree[key]
        tree[path[-1]] = to

    return change


def _drop(*path: Any) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        for key in path[:-1]:
            tree = tree[key]
        del tree[path[-1]]

    return change


BROKEN = {
    "later_version": (_set("schema_version", to=3), "version 3 is unknown; this version of lit_gen reads 1 to 2"),
    "version_0": (_set("schema_version", to=0), "schema version 0 is unknown"),
    "version_true": (_set("schema_version", to=True), "schema version True is unknown"),
    "schema_version_text": (_set("schema_version", to="1"), "schema version '1' is unknown"),
    "no_schema_version": (_drop("schema_version"), "schema_version"),
    "unhashed_key": (_set("scores", 0, "protocol", "sed", to=0), "protocol_hash does not match"),
    "unknown_half_character": (_set("cost", "joules", to="\ud800"), "'cost.joules' holds half a character"),
    "missing_key": (_drop("cost", "parameters"), "missing key 'cost.parameters'"),
    "missing_seed": (_drop("scores", 0, "protocol", "seed"), "missing key 'scores[0].protocol.seed'"),
    "missing_hash": (_drop("scores", 0, "protocol_hash"), "missing key 'scores[0].protocol_hash'"),
    "text_for_number": (_set("scores", 0, "value", to="2.1"), "'scores[0].value' must be a number, got text"),
    "boolean_for_number": (_set("seed", to=True), "'seed' must be a whole number, got true or false"),
    "float_for_count": (_set("cost", "parameters", to=1.5), "'cost.parameters' must be a whole number"),
    "null": (_set("family", to=None), "'family' must be text, got null"),
    "list_for_object": (_set("cost", to=[]), "'cost' must be an object, got a list"),
    "object_for_list": (_set("scores", to={}), "'scores' must be a list, got an object"),
    "nan": (_set("scores", 0, "value", to=math.nan), "NaN"),
    "infinity": (_set("scores", 0, "standard_error", to=math.inf), "Infinity"),
    "nan_in_config": (_set("config", "lr", to=math.nan), "NaN"),
    "negative_error": (_set("scores", 0, "standard_error", to=-0.1), "standard error of -0.1"),
    "negative_cost": (_set("cost", "train_seconds", to=-1), "cost.train_seconds"),
    "kind": (_set("scores", 0, "kind", to="lower"), "'scores[0].kind' must be one of exact, bound, estimate"),
    "kindless": (_set("scores", 0, "kind", to=None), "needs a kind"),
    "kind_of_fd": (_set("scores", 1, "kind", to="bound"), "no likelihood"),
    "metric": (_set("scores", 0, "name", to="bdp"), "score bdp carries a protocol of metric 'bpd'"),
    "direction": (_set("scores", 0, "higher_is_better", to=True), "wrong direction: lower is better"),
    "label": (_set("scores", 0, "label", to="\033[2J"), "in printable characters"),
    "null_label": (_set("scores", 0, "label", to=None), "'scores[0].label' must be text, got null"),
    "decimals": (_set("scores", 0, "decimals", to=10**6), "1000000 decimals"),
    "tampered": (_set("scores", 0, "protocol", "seed", to=7), "protocol_hash does not match"),
    "hash": (_set("scores", 1, "protocol_hash", to="0" * 64), "scores[1] (fd_mnist_cnn): protocol_hash"),
    "time": (_set("created", to="yesterday"), "yesterday"),
    "local_time": (_set("created", to="2025-01-02T03:04:05"), "offset"),
    "half_character": (_set("run_name", to="\ud800"), "'run_name' holds half a character"),
    "half_character_key": (_set("config", to={"\ud800": 1}), "surrogates not allowed"),
    "outside": (_set("files", to={"sample_grid": "../../secret.png"}), "files.sample_grid"),
    "absolute": (_set("files", to={"sample_grid": "/etc/passwd"}), "files.sample_grid"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_record_raises_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd(), make_fd()))
    change, message = BROKEN[name]
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    with pytest.raises(UserError) as caught:
        read_record(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": 1e999}',
    b'{"schema_version": 1}', b'{"schema_version": 2}', b'{"schema_version": 1, "floors": [], "baselines": []}',
    b'{"schema_version": 1, "floors": 3, "cost": [], "scores": [{"protocol": 1}]}',
    b'{"schema_version": 1, "schema_version": 1}',
])
def test_what_is_no_record_raises_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_record(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["scores", "config"])
def test_overflow_to_infinity_is_an_error(where: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd(2.125), config={"lr": 3.125}))
    path.write_text(path.read_text().replace("2.125" if where == "scores" else "3.125", "1e999"))
    with pytest.raises(UserError, match=f"{where}.*not finite"):
        read_record(path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_score_is_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        make_bpd(value)


def test_fid_is_inceptions_alone() -> None:
    with pytest.raises(ValueError, match="claims features of 'inception'"):
        make_fd(metric="fid")
    with pytest.raises(ValueError, match="claims features of 'mnist_cnn'"):
        make_fd(extractor="inception")
    assert make_fd(metric="fid", extractor="inception").label == "FID"
    foreign = make_fd(metric="fd_inception", extractor="inception")  # Inception with other weights
    assert foreign.label == "FD-inception"
    assert make_fd(metric="is_inception", extractor="inception", is_splits=10).label == "IS-inception"
    assert make_fd().label == "FD-mnist_cnn"


def test_a_score_keeps_its_own_protocol() -> None:
    with pytest.raises(ValueError, match="protocol of metric 'fd_mnist_cnn'"):
        Score(name="bpd", value=1.0, standard_error=None, kind="exact", protocol=FD)


def test_one_score_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="given twice"):
        make_record(make_bpd(2.0), make_bpd(2.1))
    make_record(make_bpd(2.0), make_bpd(2.1, estimator="iwae", draws=64))


def test_a_baseline_says_what_it_is() -> None:
    with pytest.raises(ValueError, match="weights 'none'"):
        make_record(baselines=[make_fd()])


def test_the_readme_names_every_field() -> None:
    text = (Path(lit_gen.records.__file__).parent / "README.md").read_text(encoding="utf-8")
    tables = {Record: "", Score: "", Protocol: "", Cost: "cost.", Selection: "selection.",
              Environment: "environment."}
    named = {f"{prefix}{name}" for cls, prefix in tables.items() for name in typing.get_type_hints(cls)
             if name != "extra"}
    required = {f"{prefix}{f.name}" for cls, prefix in tables.items() for f in dataclasses.fields(cls)
                if f.default is f.default_factory is dataclasses.MISSING}
    assert {name for name in named - required if f"| `{name}` |" not in text} == set()
    assert {name for name in required if f"| **`{name}`** |" not in text} == set()


def test_the_readmes_sides_are_the_codes() -> None:
    text = (Path(lit_gen.records.__file__).parent / "README.md").read_text(encoding="utf-8")
    answers = {name for name in BPD.flat() if f"| `{name}` | A |" in text.replace("**", "")}
    questions = {name for name in BPD.flat() if f"| `{name}` | Q |" in text.replace("**", "")}
    assert questions == {name for name in BPD.question() if not name.startswith("sampler_settings.")}
    assert answers == {"ema_halflife_examples", "sampler", "estimator", "draws", "replicates"}
