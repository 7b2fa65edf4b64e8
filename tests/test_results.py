"""The figures of the docs are those of the records in the repository, and the records are of the listed commands."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPO

from lit_gen.cli.command_line import CLI
from lit_gen.cli.sampling_options import parse
from lit_gen.errors import UserError
from lit_gen.noise import GENERATOR
from lit_gen.records.record import read_record, read_with_reasons, write_record
from lit_gen.records.schema import unknown_keys

sys.path.insert(0, str(REPO / "docs/results"))
try:
    import cells
    import kept
    import listing
    import run
    import tables
finally:
    sys.path.pop(0)

RUNS = listing.read_runs()
RECORDS = sorted(listing.RECORDS.glob("*/record.json"))
FIRST = "digits-vae-0"
# What a run's place and the reader's taste change, and no figure.
_FREE = {"run_name", "wandb", "seed_everything"}


def options_of(args: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the real parser makes of a command line, without building anything."""
    with pytest.raises(SystemExit) as end:
        CLI([*args, "--print_config"])
    assert end.value.code == 0
    found: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    found["trainer"].pop("default_root_dir")
    return {name: value for name, value in found.items() if name not in _FREE}


def agrees(recorded: Any, listed: Any, where: str = "") -> None:
    """What a record says of an option that both know is what the listed command says now.

    An option that came later is absent from the record, and its default means what there was before.
    """
    if isinstance(recorded, dict) and isinstance(listed, dict):
        for key in recorded.keys() & listed.keys():
            agrees(recorded[key], listed[key], f"{where}.{key}")
    else:
        assert recorded == listed, f"{where}: the record was made by another command than runs.yaml lists; run it again"


# ------------------------------------------------------------------ tables


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


def test_figures_over_seeds_and_of_one() -> None:
    record = read_record(listing.RECORDS / FIRST / "record.json")
    bpd = next(s for s in record.scores if s.name == "bpd" and s.protocol.split == "test")
    ones = [
        dataclasses.replace(record, scores=[dataclasses.replace(bpd, value=value, standard_error=0.0125)])
        for value in (1.0, 2.0, 3.0)
    ]
    column = {"header": "bits/dim", "metric": "bpd", "decimals": 3}
    assert cells.score_cell(ones, column, {}, baseline=False).text == "<= 2.000, sd 1.000"
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


# ------------------------------------------------------------------ records


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_each_record_is_valid_and_names_no_machine(path: Path) -> None:
    record, reasons = read_with_reasons(path)
    assert not reasons
    assert not unknown_keys(record)
    name, _, seed = path.parent.name.rpartition("-")
    assert int(seed) in RUNS[name].seeds
    assert record.seed == int(seed)
    assert record.run_name == path.parent.name
    assert record.notes[kept.TIMES]
    assert record.git_commit is not None
    assert not record.git_commit.endswith("-dirty")
    assert not record.files
    assert not list(kept.naming_machine(record))
    for score in (*record.scores, *record.baselines):
        assert score.per_example is None
        assert score.protocol.generator in (GENERATOR, None)


@pytest.mark.parametrize("run_", RUNS.values(), ids=RUNS)
def test_listed_commands_parse_and_are_those_of_the_records(
    run_: listing.Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    said = options_of(list(run_.fit), capsys)
    for seed in run_.seeds_recorded():
        record = read_record(run_.record(seed))
        agrees(record.config, said)
        assert record.config["seed_everything"] == seed


def test_listed_evaluations_parse(capsys: pytest.CaptureFixture[str]) -> None:
    rests = {tuple(parse(list(e.options))[1]): listed for listed in RUNS.values() for e in listed.evaluations}
    assert any(rests)
    for rest, listed in rests.items():
        options_of([*listed.fit, *rest], capsys)


def test_a_kept_record_loses_its_files_and_may_name_no_path(tmp_path: Path) -> None:
    record = read_record(listing.RECORDS / FIRST / "record.json")
    scores = [dataclasses.replace(score, per_example="likelihoods/a.csv.gz") for score in record.scores]
    whole = dataclasses.replace(record, scores=scores, files={"config": "config.yaml"}, notes={"data_skipped": 3})
    write_record(tmp_path / "record.json", whole)
    kept.keep(tmp_path / "record.json", tmp_path / "kept.json", "on an idle machine")
    found = read_record(tmp_path / "kept.json")
    assert found.scores == record.scores
    assert not found.files
    assert found.notes == {"data_skipped": 3, kept.TIMES: "on an idle machine"}


@pytest.mark.parametrize("text", ["/data/mnist", "~/runs", "C:\\runs", "--data.path=/data", "file:///a", "../runs"])
def test_a_record_that_names_a_path_is_not_kept(text: str, tmp_path: Path) -> None:
    record = read_record(listing.RECORDS / FIRST / "record.json")
    for where, spoilt in (
        ("config", dataclasses.replace(record, config={**record.config, "data": {"path": text}})),
        ("arguments", dataclasses.replace(record, scores=[dataclasses.replace(record.scores[0], arguments=(text,))])),
    ):
        write_record(tmp_path / where / "record.json", spoilt)
        with pytest.raises(UserError, match="names a path or a machine"):
            kept.keep(tmp_path / where / "record.json", tmp_path / "kept.json", "")
    assert not (tmp_path / "kept.json").exists()


# ------------------------------------------------------------------ running


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """``run.py`` in an empty folder, with commands that copy a record, and fail for seed 1; the calls."""
    source = read_record(listing.RECORDS / FIRST / "record.json")
    calls: list[str] = []
    monkeypatch.setattr(run, "REPO", tmp_path)
    monkeypatch.setattr(listing.Listed, "record", lambda self, seed: tmp_path / "kept" / self.folder(seed) / "r.json")

    def call(command: list[str], log: Path, threads: int) -> None:
        calls.append(" ".join(command))
        if "--seed_everything=1" in command:
            raise run.subprocess.CalledProcessError(1, command)
        write_record(log.with_suffix("") / "record.json", source)

    monkeypatch.setattr(run, "_call", call)
    return calls


def test_a_failed_run_does_not_stop_the_others_and_is_tried_again(
    fake: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--only", "digits-vae"]) == 1
    said = capsys.readouterr()
    assert [("done" in line, "failed" in line) for line in said.out.splitlines() if "started" not in line] == [
        (True, False), (False, True), (True, False)
    ]
    assert "failed: digits-vae-1" in said.err
    fake.clear()
    assert run.main(["--only", "digits-vae"]) == 1
    assert len(fake) == 1, "what is kept is not run again"
    assert run.main(["--only", "digits-vae", "--seeds", "0", "--again"]) == 0


def test_a_stopped_run_goes_on(fake: list[str], tmp_path: Path) -> None:
    folder = tmp_path / run.WORK / "digits-vae-0"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/last.ckpt").touch()
    assert run.main(["--only", "digits-vae", "--seeds", "0"]) == 0
    assert fake == ["python -m lit_gen.fit --resume runs/results/digits-vae-0"]


def test_a_trained_run_is_scored_alone(fake: list[str], tmp_path: Path) -> None:
    folder = tmp_path / run.WORK / "digits-vae-0"
    folder.mkdir(parents=True)
    (folder / "training.json").touch()
    assert run.main(["--only", "digits-vae", "--seeds", "0"]) == 0
    assert fake == ["python -m lit_gen.evaluate runs/results/digits-vae-0/checkpoints/best.ckpt"]


def test_dry_run_and_unknown_names(fake: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--dry-run", "--only", "digits-flow-matching-classes"]) == 0
    said = capsys.readouterr().out
    assert "evaluate runs/results/digits-flow-matching-classes-0/checkpoints/best.ckpt --guidance 0 1 1.5 2 4" in said
    assert run.main(["--only", "digits-vea"]) == 2
    assert "there is no run 'digits-vea'; did you mean 'digits-vae'" in capsys.readouterr().err
    assert not fake
