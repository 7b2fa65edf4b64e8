"""A probability above one, or a code shorter than the entropy, is not recorded, and costs no other score its place."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from lit_gen.errors import UserError
from lit_gen.records.record import ErrorParts, read_record, read_with_reasons, write_record

from .makers import make_bpd, make_fd, make_record

UNIFORM = make_bpd(4.0, 0.0, "exact", weights="none", ema_halflife_examples=None, estimator="uniform noise", draws=None)


@pytest.mark.parametrize(("value", "error", "kind", "possible"), [
    (-0.031, 0.01, "exact", False),
    (-0.029, 0.01, "exact", True),
    (-0.031, 0.01, "bound", False),
    (-0.001, None, "bound", False),
    (-0.001, 0.0, "exact", False),
    (0.0, None, "exact", True),
    (-5.0, 0.01, "estimate", True),
])
def test_a_probability_above_one_is_no_score(value: float, error: float | None, kind: str, possible: bool) -> None:
    if possible:
        assert make_bpd(value, error, kind).value == value
        return
    with pytest.raises(ValueError, match=r"below zero by more than 3 standard errors, a probability above one"):
        make_bpd(value, error, kind)
    with pytest.raises(UserError):  # a command prints it in one line
        make_bpd(value, error, kind)


def test_other_scores_may_be_negative() -> None:
    assert make_fd(-0.4, 0.1).value == -0.4


@pytest.mark.parametrize(("value", "kind", "split", "possible"), [
    (1.46, "exact", "test", False),
    (1.48, "exact", "test", True),
    (1.46, "bound", "val", False),
    (1.46, "estimate", "test", True),
    (0.50, "exact", "train", True),  # a model may know its training data by heart
])
def test_no_code_is_shorter_than_the_entropy(value: float, kind: str, split: str, possible: bool) -> None:
    score = make_bpd(value, 0.01, kind, split=split)
    if possible:
        make_record(score, entropy={"bpd": 1.5})
        return
    with pytest.raises(ValueError, match=r"below the entropy of the data, 1\.5, by more than 3 standard errors"):
        make_record(score, entropy={"bpd": 1.5})


@pytest.mark.parametrize("version", [1, 2])
def test_the_other_scores_of_a_file_are_read(version: int, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    if version == 1:
        path.write_bytes(Path(__file__).with_name("vae_digits_v1.json").read_bytes())
    else:
        write_record(path, make_record(make_bpd(), make_fd()))
    tree = json.loads(path.read_text())
    tree["scores"][0] |= {"value": -0.5, "standard_error": 0.01}
    path.write_text(json.dumps(tree))
    record, reasons = read_with_reasons(path)
    assert [score.name for score in record.scores] == ["fd_mnist_cnn"]
    assert reasons == ["score bpd -0.5 is below zero by more than 3 standard errors, a probability above one"]
    assert read_record(path) == record


def test_what_is_below_the_entropy_is_left_out_as_a_record_is_read(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    low = make_bpd(1.4, 0.01, estimator="iwae-5", draws=5)
    write_record(path, make_record(low, make_bpd(1.6), make_fd(), baselines=[UNIFORM]))
    tree = json.loads(path.read_text())
    tree["entropy"] = {"bpd": 1.5}
    path.write_text(json.dumps(tree))
    record, reasons = read_with_reasons(path)
    assert [score.value for score in record.scores] == [1.6, 8.0]
    assert reasons == ["score bpd 1.4 is below the entropy of the data, 1.5, by more than 3 standard errors"]
    assert record.entropy == {"bpd": 1.5}


def test_a_wrong_type_is_still_an_error_beside_an_impossible_score(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, make_record(make_bpd(error=None), make_fd()))
    tree = json.loads(path.read_text())
    tree["scores"][0]["value"] = -1
    tree["entropy"] = [1]
    path.write_text(json.dumps(tree))
    with pytest.raises(UserError, match="'entropy' must be an object, got a list"):
        read_record(path)


def test_an_error_part_above_the_limit_is_a_heavy_tail() -> None:
    light, heavy = (dataclasses.replace(make_bpd(), error=ErrorParts(pareto_k=k)) for k in (0.7, 0.71))
    assert (light.heavy_tailed, heavy.heavy_tailed) == (False, True)
