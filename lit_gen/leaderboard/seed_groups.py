"""Runs that differ in their seed alone: which these are, and the name of their row."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lit_gen.leaderboard.table import Row, Section
from lit_gen.records.question import canonical
from lit_gen.records.record import Record

# What does not change a model: names, folders, loggers, what is written and how often, the picture of samples (`grid`),
# and how a checkpoint is scored, which protocols state. The number of processes is kept, since it changes batches.
_ELSEWHERE = frozenset({"seed_everything", "run_name", "wandb", "grid", "scoring", "ckpt_path", "config"})
_OF_TRAINER = frozenset({
    "default_root_dir", "logger", "accelerator", "enable_progress_bar", "enable_model_summary", "log_every_n_steps",
    "profiler", "enable_autolog_hparams", "model_registry", "num_sanity_val_steps",
})
_OF_CHECKPOINT = frozenset({"every_minutes", "keep"})
# Where equal content was read from, and how; only with a hash of that content.
_OF_DATA = frozenset({"path", "cache", "cache_dir", "root", "num_workers"})


def by_seed(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows in groups that differ in their seed alone, in the order of their first rows.

    A group has at most one run of each seed: a second one is a repetition, or another program's entry without a seed,
    and starts another group. A run whose configuration names no model is by itself, as nothing says what it is.

    Args:
        rows: Rows of runs.
    """
    found: dict[tuple[str, int], list[Row]] = {}
    times: dict[tuple[str, int], int] = {}
    for i, row in enumerate(rows):
        assert row.record is not None
        key = _key(row.record) if row.record.config.get("model") else f"{i}"
        again = times[key, row.record.seed] = times.get((key, row.record.seed), 0) + 1
        found.setdefault((key, again), []).append(row)
    return list(found.values())


def _key(record: Record) -> str:
    """Equal for records of runs that differ in their seed alone. The code may differ, which `differing` says."""
    config = {name: value for name, value in record.config.items() if name not in _ELSEWHERE}
    config = _without(config, "trainer", _OF_TRAINER)
    config = _without(config, "checkpoint", _OF_CHECKPOINT)
    if record.train_hash is not None and isinstance(data := config.get("data"), Mapping):
        config["data"] = _without_names(data, _OF_DATA)
    rule = re.sub(r" of \d+$", "", record.selection.rule)
    return canonical([record.family, record.model, record.data, record.dimension, record.train_hash, rule,
                      record.environment.world_size, config])


def _without(config: dict[str, Any], part: str, names: frozenset[str]) -> dict[str, Any]:
    found = config.get(part)
    if not isinstance(found, Mapping):
        return config
    return config | {part: {name: value for name, value in found.items() if name not in names}}


def _without_names(tree: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: _without_names(value, names) if isinstance(value, Mapping) else value
            for name, value in tree.items() if name not in names}


def group_label(rows: Sequence[Row]) -> str:
    """A name for runs of several seeds: what their names have in common, and the number of seeds.

    Args:
        rows: The rows, at least two.
    """
    names = [row.record.run_name for row in rows if row.record]
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = "".join(letters[0] for letters in same)
    if any(len(name) > len(shared) and name[len(shared)].isalnum() for name in names) and shared[-1:].isalnum():
        shared = re.sub(r"[^\W_]+$", "", shared)  # `vae-s1` of `vae-s10` and `vae-s11` is no name
    shared = shared.strip(" -_.,(")
    return f"{shared or names[0]} ({len(rows)} seeds)"


def differing(rows: Sequence[Row]) -> str:
    """What else differs between the runs of a group, in words: the code, and where it ran; empty if nothing does."""
    records = [row.record for row in rows if row.record]
    said = []
    if len(commits := dict.fromkeys(record.git_commit or "none" for record in records)) > 1:
        said.append(f"git commits {_listed([_short(commit) for commit in commits])}")
    for library in dict.fromkeys(name for record in records for name in record.environment.versions):
        versions = dict.fromkeys(record.environment.versions.get(library, "none") for record in records)
        if len(versions) > 1:
            said.append(f"{library} {_listed(versions)}")
    if len(places := dict.fromkeys(record.environment.accelerator for record in records)) > 1:
        said.append(f"accelerators {_listed(places)}")
    return "; ".join(said)


def seed_lines(section: Section) -> list[str]:
    """One line for each group of a section of which more is to be said than its number of seeds."""
    return [f"{row.label}: {line}" for row in section.rows if row.members and (line := differing(row.members))]


def counted(section: Section) -> str:
    """The numbers of runs and rows of a section, as `30 runs`, or `30 runs in 14 rows`."""
    runs, rows = f"{section.num_runs} runs", len(section.rows)
    return runs if section.num_runs == rows else f"{runs} in {rows} row{'' if rows == 1 else 's'}"


def _short(commit: str) -> str:
    return re.sub(r"^([0-9a-f]{10})[0-9a-f]{30}", r"\1", commit)


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(names)
