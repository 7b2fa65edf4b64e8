"""The kept records are valid, name no machine, and are of the listed commands, all of which parse."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from results_scripts import first_record, kept, listing

from lit_gen.cli.command_line import CLI
from lit_gen.cli.sampling_options import parse
from lit_gen.errors import UserError
from lit_gen.noise import GENERATOR
from lit_gen.records.record import read_record, read_with_reasons, write_record
from lit_gen.records.schema import unknown_keys

RUNS = listing.read_runs()
RECORDS = sorted(listing.RECORDS.glob("*/record.json"))
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


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_nats_and_bits_of_a_record_agree(path: Path) -> None:
    """Nats are bits/dim times ln 2 and a whole number: a value that was edited alone is found, whatever tables say."""
    record = read_record(path)
    by_answer: dict[str, dict[str, float]] = {}
    for score in record.scores:
        if score.kind:
            by_answer.setdefault(str(score.protocol.answer()) + str(score.protocol.split), {})[score.name] = score.value
    both = [found for found in by_answer.values() if len(found) == 2]
    assert bool(both) == any(score.kind for score in record.scores)
    dimensions = [found["nll"] / found["bpd"] / math.log(2) for found in both]
    assert dimensions == pytest.approx([round(d) for d in dimensions], rel=1e-6)
    assert len({round(d) for d in dimensions}) < 2


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
    record = first_record()
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
    record = first_record()
    for where, spoilt in (
        ("config", dataclasses.replace(record, config={**record.config, "data": {"path": text}})),
        ("arguments", dataclasses.replace(record, scores=[dataclasses.replace(record.scores[0], arguments=(text,))])),
    ):
        write_record(tmp_path / where / "record.json", spoilt)
        with pytest.raises(UserError, match="names a path or a machine"):
            kept.keep(tmp_path / where / "record.json", tmp_path / "kept.json", "")
    assert not (tmp_path / "kept.json").exists()
