"""Records of other versions: version 1 is read as if it were 2, and what a later program added is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lit_gen.errors import UserError
from lit_gen.records.record import Score, read_record, write_record
from lit_gen.records.schema import unknown_keys

from .makers import BPD, make_bpd, make_fd, make_record

VERSION_1 = Path(__file__).with_name("vae_digits_v1.json")
"""What `lit_gen.fit` wrote under version 1, its config and scores cut short."""

BASELINE = make_fd(1.3, weights="none", ema_halflife_examples=None, sampler="real train images")
Tree = dict[str, Any]


def test_version_1_is_read_under_the_names_of_version_2() -> None:
    record = read_record(VERSION_1)
    bpd, fd = record.scores
    assert (bpd.label, bpd.unit, bpd.higher_is_better, bpd.decimals) == ("bits/dim", "bits/dim", False, 2)
    assert (fd.label, fd.unit) == ("FD-mnist_cnn", "")
    assert bpd.protocol.ema_halflife_examples == 10_000
    assert record.cost.examples_seen == 2000
    assert record.cost.examples_per_second == pytest.approx(20_909.59)
    assert [b.protocol.estimator or b.protocol.sampler for b in record.baselines] == [
        "uniform noise", "real train images"]
    assert record.baselines[0].value == math.log2(17)
    assert unknown_keys(record) == []


def test_version_1_is_written_as_version_2(tmp_path: Path) -> None:
    record = read_record(VERSION_1)
    write_record(tmp_path / "record.json", record)
    tree = json.loads((tmp_path / "record.json").read_text())
    assert tree["schema_version"] == 2
    assert not {"floors", "images_seen"} & {*tree, *tree["cost"]}
    assert read_record(tmp_path / "record.json") == record


def test_version_1_without_dimension(tmp_path: Path) -> None:
    tree = json.loads(VERSION_1.read_text())
    del tree["dimension"]
    (tmp_path / "record.json").write_text(json.dumps(tree))
    assert read_record(tmp_path / "record.json") == read_record(VERSION_1)


def test_a_dimension_labels_the_scores_of_version_1(tmp_path: Path) -> None:
    tree = json.loads(VERSION_1.read_text())
    tree["dimension"] = "sample"
    (tmp_path / "record.json").write_text(json.dumps(tree))
    scores = read_record(tmp_path / "record.json").scores
    assert [(score.label, score.unit) for score in scores] == [("bits/sample", "bits/sample"), ("FD-mnist_cnn", "")]


@pytest.mark.parametrize("field", ["seed", "ema_halflife_images", "draws"])
def test_version_1_hashes_are_checked_by_its_own_rule(field: str, tmp_path: Path) -> None:
    tree = json.loads(VERSION_1.read_text())
    tree["scores"][0]["protocol"][field] = 7
    (tmp_path / "record.json").write_text(json.dumps(tree))
    with pytest.raises(UserError, match=r"scores\[0\] \(bpd\): protocol_hash does not match"):
        read_record(tmp_path / "record.json")


ADDED: dict[str, Callable[[Tree], Tree]] = {
    "energy": lambda tree: tree,
    "cost.joules": lambda tree: tree["cost"],
    "selection.gain": lambda tree: tree["selection"],
    "environment.driver": lambda tree: tree["environment"],
    "scores[].samples": lambda tree: tree["scores"][0],
    "scores[].scored_with.driver": lambda tree: tree["scores"][0]["scored_with"],
    "baselines[].samples": lambda tree: tree["baselines"][0],
}


@pytest.mark.parametrize("value", [3, 1.0, None, "text", [1, {"a": [True]}], {"deep": {"er": 1e-9}}])
def test_unknown_keys_survive(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    elsewhere = make_record().environment
    write_record(path, make_record(Score(**{**vars(make_bpd()), "scored_with": elsewhere}), baselines=[BASELINE]))
    tree = json.loads(path.read_text())
    for key, place in ADDED.items():
        place(tree)[key.rpartition(".")[2]] = value
    path.write_text(json.dumps(tree))
    record = read_record(path)
    assert sorted(unknown_keys(record)) == sorted(ADDED)
    assert record.extra == {"energy": value}
    assert record.cost.extra == {"joules": value}
    write_record(path, record)
    assert json.dumps(json.loads(path.read_text()), sort_keys=True) == json.dumps(tree, sort_keys=True)


def test_an_unknown_key_of_a_protocol_survives_and_is_hashed(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    score = make_bpd(extra={"resolution": 32})
    write_record(path, make_record(score))
    assert json.loads(path.read_text())["scores"][0]["protocol"]["resolution"] == 32
    assert read_record(path).scores == (score,)
    assert unknown_keys(read_record(path)) == ["scores[].protocol.resolution"]


def test_a_key_named_extra_is_unknown_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(extra={"extra": {"family": "gan"}}))
    assert read_record(path).extra == {"extra": {"family": "gan"}}
    assert read_record(path).family == "vae"
    with pytest.raises(ValueError, match="'family' is a field of Record"):
        write_record(path, make_record(extra={"family": "gan"}))


def test_missing_optional_keys_take_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd(error=None)))
    tree = json.loads(path.read_text())
    for key in ("files", "baselines", "notes", "dimension"):
        del tree[key]
    for key in ("standard_error", "label", "unit", "higher_is_better", "decimals", "scored_with"):
        del tree["scores"][0][key]
    path.write_text(json.dumps(tree))
    assert read_record(path) == make_record(make_bpd(error=None))


def test_a_default_may_be_stated(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd()))
    tree = json.loads(path.read_text())
    assert "extractor" not in tree["scores"][0]["protocol"]
    tree["scores"][0]["protocol"]["extractor"] = None
    path.write_text(json.dumps(tree))
    assert read_record(path) == make_record(make_bpd())


def make_novel(name: str = "novelty", **fields: Any) -> Score:
    protocol = {"metric": name, "data": "digits", "data_hash": "a" * 64, "split": "test", "num_examples": 447,
                "weights": "ema", "precision": "32-true", "seed": 0}
    return Score(name=name, value=0.5, protocol=type(BPD)(**protocol), **fields)


def test_a_score_of_another_name_states_how_it_is_read(tmp_path: Path) -> None:
    score = make_novel(label="novelty", unit="", higher_is_better=True)
    assert score.decimals == 2
    write_record(tmp_path / "record.json", make_record(score))
    assert read_record(tmp_path / "record.json").scores == (score,)
    for missing in ({"unit": ""}, {"label": "novelty", "higher_is_better": True}, {}):
        with pytest.raises(ValueError, match="unknown metric 'novelty'; a metric of another name states its label"):
            make_novel(**missing)


@pytest.mark.parametrize("name", ["fid_mnist_cnn", "fd", "jsd", "kid_mnist_cnn"])
def test_a_metric_of_features_cannot_be_renamed_around_its_checks(name: str) -> None:
    with pytest.raises(ValueError, match=r"metric '\w+'|claims features of"):
        make_novel(name, label="FID", unit="", higher_is_better=False)
