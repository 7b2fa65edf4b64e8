"""The figures of the docs are those of the records in the repository."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from results_scripts import FIRST, cells, first_record, kept, listing, tables

from lit_gen.errors import UserError
from lit_gen.records.record import read_record


def test_the_committed_tables_are_those_of_the_records() -> None:
    found = tables.all_tables()
    pages = [page.read_text(encoding="utf-8") for page in tables.PAGES]
    for page, text in zip(tables.PAGES, pages, strict=True):
        assert tables.filled(text, found) == text, f"{page.name}: run 'python docs/results/tables.py'"
    for name in found:
        assert any(f"<!-- table: {name} -->" in text for text in pages), f"no page shows the table {name}"


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A copy of the kept records, to spoil."""
    return Path(shutil.copytree(listing.RECORDS, tmp_path / "records"))


@pytest.mark.parametrize("name", ["bpd", "fd_mnist_cnn"])
def test_a_changed_value_changes_a_table(name: str, copies: Path) -> None:
    path = copies / FIRST / "record.json"
    tree = json.loads(path.read_text())
    score = next(s for s in tree["scores"] if s["name"] == name and s["protocol"]["split"] == "test")
    score["value"] += 0.1
    path.write_text(json.dumps(tree))
    assert tables.all_tables(copies)["digits"] != tables.all_tables()["digits"]


def test_a_changed_protocol_is_found(copies: Path) -> None:
    path = copies / FIRST / "record.json"
    path.write_text(path.read_text().replace('"num_samples": 1000', '"num_samples": 5000'))
    with pytest.raises(UserError, match="protocol_hash does not match"):
        tables.all_tables(copies)


def test_a_record_under_another_seed_is_found(copies: Path) -> None:
    shutil.copy(copies / FIRST / "record.json", copies / "digits-vae-1/record.json")
    with pytest.raises(UserError, match="its seed is 0"):
        tables.all_tables(copies)


def test_a_missing_record_is_found(copies: Path) -> None:
    shutil.rmtree(copies / FIRST)
    assert "VAE (`digits/vae.yaml`), seeds 1, 2" in tables.all_tables(copies)["digits"]
    for seed in (1, 2):
        shutil.rmtree(copies / f"digits-vae-{seed}")
    with pytest.raises(UserError, match="neither a record of digits-vae nor earlier figures"):
        tables.all_tables(copies)


def test_earlier_figures_stand_until_there_is_a_record_with_the_score(copies: Path) -> None:
    run, columns = listing.read_runs()["digits-vae"], [{"header": "bits/dim", "metric": "bpd", "decimals": 3}]
    row = {"label": "VAE", "run": "digits-vae", "earlier": ["<= 2.058"]}
    with pytest.raises(UserError, match="has records of digits-vae now; remove its earlier figures"):
        tables._row(row, columns, {run.name: run}, copies)
    by_ode = {**row, "likelihood": "ode"}
    assert tables._row(by_ode, columns, {run.name: run}, copies) == ("VAE †", [cells.Cell("<= 2.058")])
    shutil.rmtree(copies)
    assert tables._row(row, columns, {run.name: run}, copies) == ("VAE †", [cells.Cell("<= 2.058")])


def test_figures_over_seeds_and_of_one() -> None:
    record = first_record()
    bpd = next(s for s in record.scores if s.name == "bpd" and s.protocol.split == "test")
    ones = [
        dataclasses.replace(record, scores=[dataclasses.replace(bpd, value=value, standard_error=0.0125)])
        for value in (1.0, 2.0, 3.0)
    ]
    column = {"header": "bits/dim", "metric": "bpd", "decimals": 3}
    assert cells.score_cell(ones, column, {}, baseline=False).text == "<= 2.000, sd 1.000 (draws 0.002)"
    alone = cells.score_cell(ones[:1], column, {}, baseline=False).text
    assert alone.startswith("<= 1.000, standard error 0.013 (draws")
    without = dataclasses.replace(record, scores=[])
    with pytest.raises(UserError, match="in 1 of 2 records"):
        cells.score_cell([ones[0], without], column, {}, baseline=False)
    assert cells.score_cell([without], column, {}, baseline=False).text == "n/a"
    other: dict[str, Any] = {**column, "metric": "fd_mnist_cnn"}
    for asked, row in ((other, {}), (column, {"likelihood": "ode"})):
        with pytest.raises(UserError, match="has no score"):
            cells.score_cell(ones[:1], asked, row, baseline=False)
    times = ("on an idle machine", "beside other work")
    noted = [dataclasses.replace(record, notes={kept.TIMES: note}) for note in times]
    assert cells.cost_cell(noted[:1], "train_seconds").remarks == ()
    assert cells.cost_cell(noted, "train_seconds").remarks == ("‡ measured beside other work",)


def test_labels_name_the_function_evaluations_of_the_records() -> None:
    listed, runs = yaml.safe_load((listing.HERE / "tables.yaml").read_text())["tables"], listing.read_runs()
    checked = 0
    for row in (row for table in listed.values() for row in table["rows"] if "run" in row):
        said = re.search(r"([\d,]+) evaluations", row["label"])
        for seed in runs[row["run"]].seeds_recorded() if said else ():
            record = read_record(runs[row["run"]].record(seed))
            assert record.cost.function_evaluations_per_sample == int(said[1].replace(",", "")), row["label"]
            checked += 1
    assert checked
