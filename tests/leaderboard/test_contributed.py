"""`--check`: each kind of mistake in a contributed record is one line and exit status 1."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO
from records.makers import make_bpd, make_fd, make_record

from lit_gen.leaderboard.__main__ import main
from lit_gen.records.per_example import ExampleNats, write_examples
from lit_gen.records.record import Record, write_record

Output = pytest.CaptureFixture[str]


def good(folder: Path) -> Record:
    """A record without a finding, with its files."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    write_examples(folder / "v.csv.gz", [ExampleNats(i, i, 64 * math.log(2) * (2 + i % 2), None) for i in range(100)])
    bpd = dataclasses.replace(make_bpd(2.5, num_examples=100), per_example="v.csv.gz")
    nll = make_bpd(2.5, num_examples=100)
    protocol = dataclasses.replace(nll.protocol, metric="nll")
    nll = dataclasses.replace(nll, name="nll", value=2.5 * 64 * math.log(2), protocol=protocol, label=None, unit=None)
    base = make_record()
    selection = dataclasses.replace(base.selection, checkpoint_sha256=hashlib.sha256(b"weights").hexdigest())
    cost = dataclasses.replace(base.cost, examples_per_second=600_000 / 83.4)
    files = {"checkpoint": "checkpoints/best.ckpt"}
    return make_record(bpd, nll, make_fd(), selection=selection, cost=cost, files=files)


def check(folder: Path, capsys: Output) -> tuple[int, str]:
    code = main(["--check", str(folder)])
    return code, capsys.readouterr().out


def test_a_good_record_is_valid(tmp_path: Path, capsys: Output) -> None:
    write_record(tmp_path / "record.json", good(tmp_path))
    assert check(tmp_path, capsys) == (0, f"{tmp_path / 'record.json'}: valid\n")


def edited(tree: dict[str, Any], path: str, value: Any) -> None:
    *way, last = path.split(".")
    for name in way:
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    tree[last] = value


@pytest.mark.parametrize(("path", "value", "said"), [
    ("scores.0.value", -1.0, "error: impossible: score bpd -1 is below zero"),
    ("scores.0.value", 2.6, "is not of score bpd 2.6"),
    ("scores.1.value", 99.0, "no whole number"),
    ("scores.2.value", -5.0, "fd_mnist_cnn is -5; it lies within 0 and inf"),
    ("scores.0.protocol_hash", "0" * 64, "does not match"),
    ("scores.0.protocol.num_examples", 99, "does not match"),
    ("extra_key", 1, "key 'extra_key' is unknown"),
    ("seed", "one", "'seed' must be a whole number"),
    ("created", "2999-01-01T00:00:00+00:00", "created in the future"),
    ("config.seed_everything", 5, "seed is 1, and its configuration says seed_everything = 5"),
    ("model", "GAN", "model is GAN, and its configuration says VAE"),
    ("files.sample_grid", "grid.png", "files.sample_grid: grid.png does not exist"),
    ("files.sample_grid", "../grid.png", "must be a path inside the run's directory"),
    ("selection.checkpoint_sha256", "a" * 64, "and selection.checkpoint_sha256 is aaaa"),
    ("cost.examples_per_second", 1.0, "examples_per_second is 1, and"),
    ("cost.parameters", -1, "cost.parameters must be finite and not negative"),
    ("schema_version", 3, "schema version 3 is unknown"),
    ("scores", [], "it has no score"),
])
def test_each_mistake_is_named(path: str, value: Any, said: str, tmp_path: Path, capsys: Output) -> None:
    write_record(tmp_path / "record.json", good(tmp_path))
    tree = json.loads((tmp_path / "record.json").read_text())
    edited(tree, path, value)
    (tmp_path / "record.json").write_text(json.dumps(tree))
    code, out = check(tmp_path, capsys)
    assert code == 1
    assert said in out
    assert "valid" not in out


def test_what_is_only_missing_is_a_note(tmp_path: Path, capsys: Output) -> None:
    record = good(tmp_path)
    write_record(tmp_path / "record.json", dataclasses.replace(record, git_commit="a" * 40 + "-dirty"))
    (tmp_path / "checkpoints" / "best.ckpt").unlink()
    (tmp_path / "v.csv.gz").unlink()
    code, out = check(tmp_path, capsys)
    assert code == 0
    assert out.count(": note: ") == 4
    assert out.endswith(": valid\n")


def test_a_link_out_of_the_folder_is_an_error(tmp_path: Path, capsys: Output) -> None:
    record = good(tmp_path / "run")
    (tmp_path / "secret.png").write_bytes(b"")
    (tmp_path / "run" / "grid.png").symlink_to(tmp_path / "secret.png")
    write_record(tmp_path / "run" / "record.json", dataclasses.replace(record, files={"sample_grid": "grid.png"}))
    code, out = check(tmp_path / "run", capsys)
    assert code == 1
    assert "grid.png is outside the record's directory" in out


def test_the_repository_s_own_records_are_valid(capsys: Output) -> None:
    records = sorted(map(str, (REPO / "docs/results/records").glob("*/record.json")))
    assert main(["--check", *records]) == 0
    assert capsys.readouterr().out.count(": valid\n") == len(records) >= 33


def test_a_missing_file_is_status_2(tmp_path: Path, capsys: Output) -> None:
    assert main(["--check", str(tmp_path / "none.json")]) == 2
    assert "does not exist" in capsys.readouterr().err
