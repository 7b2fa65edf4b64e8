"""The list of runs behind the figures, ``runs.yaml``, and the records that they left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lit_gen.errors import UserError, nearest

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
RECORDS = HERE / "records"


@dataclass(frozen=True)
class Evaluation:
    """A further call of ``lit_gen.evaluate``.

    Attributes:
        options: Options beside the checkpoint's path.
        seeds: Seeds of the run to which it applies; all if empty.
    """

    options: tuple[str, ...]
    seeds: tuple[int, ...] = ()

    def applies(self, seed: int) -> bool:
        """Whether the run with this seed is scored so."""
        return not self.seeds or seed in self.seeds


@dataclass(frozen=True)
class Listed:
    """A run of the list.

    Attributes:
        name: Name of the run, without its seed.
        fit: Options of ``lit_gen.fit``, without seed and folder.
        seeds: Seeds of the training.
        evaluations: Further calls of ``lit_gen.evaluate``, in their order.
    """

    name: str
    fit: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    evaluations: tuple[Evaluation, ...] = ()

    def folder(self, seed: int) -> str:
        """Name of the folder of the run with this seed."""
        return f"{self.name}-{seed}"

    def record(self, seed: int, records: Path = RECORDS) -> Path:
        """Path of the record that is kept of the run with this seed."""
        return records / self.folder(seed) / "record.json"

    def seeds_recorded(self, records: Path = RECORDS) -> tuple[int, ...]:
        """The seeds of which a record is kept."""
        return tuple(seed for seed in self.seeds if self.record(seed, records).is_file())

    def command(self, seed: int) -> list[str]:
        """The options of ``lit_gen.fit`` with the seed."""
        return [*self.fit, f"--seed_everything={seed}"]


def read_runs(path: Path = HERE / "runs.yaml") -> dict[str, Listed]:
    """Reads the list of runs, by name.

    Args:
        path: The file.

    Raises:
        UserError: A key is unknown or missing, or a name is given twice.
    """
    runs: dict[str, Listed] = {}
    for item in yaml.safe_load(path.read_text(encoding="utf-8"))["runs"]:
        run = _listed(item, path)
        if run.name in runs:
            raise UserError(f"{path}: the run '{run.name}' is listed twice")
        runs[run.name] = run
    return runs


def chosen(runs: dict[str, Listed], names: list[str]) -> list[Listed]:
    """The runs of these names, in the list's order; all without names.

    Raises:
        UserError: A name is not in the list.
    """
    for name in names:
        if name not in runs:
            raise UserError(f"--only: there is no run '{name}'{nearest(name, runs)}")
    return [run for name, run in runs.items() if not names or name in names]


def _listed(item: dict[str, Any], path: Path) -> Listed:
    unknown = set(item) - {"name", "fit", "seeds", "evaluate"}
    if unknown or not {"name", "fit"} <= set(item):
        raise UserError(f"{path}: a run has name, fit, seeds and evaluate, got {sorted(item)}")
    evaluations = [
        Evaluation(tuple(_flat(call["options"])), tuple(call.get("seeds", ()))) for call in item.get("evaluate", ())
    ]
    return Listed(item["name"], tuple(_flat(item["fit"])), tuple(item.get("seeds", (0,))), tuple(evaluations))


def _flat(options: Any) -> Iterator[str]:
    """The texts of nested lists, in order."""
    if isinstance(options, list):
        for option in options:
            yield from _flat(option)
    else:
        yield str(options)
