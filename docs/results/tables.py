"""Writes the tables of ``docs/results.md`` and ``README.md`` from the records that are kept.

    python docs/results/tables.py
    python docs/results/tables.py --check

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``; ``tables.yaml`` says what it shows.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from cells import Cell, NoScoreError, cost_cell, score_cell
from listing import HERE, RECORDS, REPO, Listed, read_runs

from lit_gen.errors import UserError, nearest
from lit_gen.records.record import Record, read_with_reasons

PAGES = (REPO / "docs/results.md", REPO / "README.md")
EARLIER = "\u2020"
"""Mark of rows that have not been run again."""

_BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_EARLIER_REMARK = f"{EARLIER} with the earlier generator of noise, and not run again since"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 1 if a table is not up to date, 2 if a record is missing or contradicts the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; say which pages are not up to date")
    options = parser.parse_args(arguments)
    stale = 0
    try:
        tables = all_tables()
        for page in PAGES:
            old = page.read_text(encoding="utf-8")
            new = filled(old, tables)
            if old == new:
                continue
            stale += 1
            if not options.check:
                page.write_text(new, encoding="utf-8")
            print(f"{page.relative_to(REPO)}: {'not up to date' if options.check else 'written'}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(bool(stale and options.check))


def filled(page: str, tables: Mapping[str, str]) -> str:
    """A page with its tables as the records have them.

    Raises:
        UserError: The page has a table that is not listed.
    """

    def table(found: re.Match[str]) -> str:
        if found[2] not in tables:
            raise UserError(f"there is no table '{found[2]}'{nearest(found[2], tables)}")
        return f"{found[1]}{tables[found[2]]}{found[3]}"

    return _BLOCK.sub(table, page)


def all_tables(records: Path = RECORDS) -> dict[str, str]:
    """The tables by name, as Markdown.

    Args:
        records: Folder of the records.

    Raises:
        UserError: A record cannot be read, a row lacks its record, or a score is missing or ambiguous.
    """
    listed = yaml.safe_load((HERE / "tables.yaml").read_text(encoding="utf-8"))["tables"]
    runs = read_runs()
    return {name: _table(table, runs, records) for name, table in listed.items()}


def _table(table: Mapping[str, Any], runs: Mapping[str, Listed], records: Path) -> str:
    columns = table["columns"]
    lines = [_pipes([table["title"], *(column["header"] for column in columns)]), "|---" * (len(columns) + 1) + "|"]
    remarks: list[str] = []
    for row in table["rows"]:
        label, cells = _row(row, columns, runs, records)
        lines.append(_pipes([label, *(cell.text for cell in cells)]))
        remarks += [_EARLIER_REMARK] if label.endswith(EARLIER) else []
        remarks += [remark for cell in cells for remark in cell.remarks]
    below = "\n".join(f"- {remark}" for remark in dict.fromkeys(remarks))
    return "\n".join(lines) + "\n" + (f"\n{below}\n" if below else "")


def _row(
    row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], runs: Mapping[str, Listed], folder: Path
) -> tuple[str, list[Cell]]:
    """A row's label and cells."""
    label: str = row["label"]
    if by_hand := row.get("published") or row.get("others"):
        prefix = "published: " if "published" in row else ""
        return f"{prefix}{label} ({row['source']})", [Cell(str(text)) for text in by_hand]
    run = runs[row.get("run") or row["baseline"]]
    seeds = [seed for seed in row.get("seeds", run.seeds) if run.record(seed, folder).is_file()]
    if "earlier" in row:
        if seeds and _has_scores(row, columns, run, seeds, folder):
            raise UserError(f"tables.yaml: '{label}' has records of {run.name} now; remove its earlier figures")
        return f"{label} {EARLIER}", [Cell(str(text)) for text in row["earlier"]]
    if not seeds:
        raise UserError(f"'{label}' has neither a record of {run.name} nor earlier figures")
    if "seeds" not in row and (len(seeds) < len(run.seeds) or len(seeds) == 1) and "run" in row:
        label = f"{label}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    return label, _cells(row, columns, run, seeds, folder)


def _cells(
    row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], run: Listed, seeds: Sequence[int], folder: Path
) -> list[Cell]:
    found = [_read(run, seed, folder) for seed in seeds[: None if "run" in row else 1]]
    return [_cell(found, column, row) for column in columns]


def _has_scores(
    row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], run: Listed, seeds: Sequence[int], folder: Path
) -> bool:
    """Whether the records have what a row shows: an evaluation may not have been done again."""
    try:
        _cells(row, columns, run, seeds, folder)
    except NoScoreError:
        return False
    return True


def _read(run: Listed, seed: int, folder: Path) -> Record:
    record, reasons = read_with_reasons(run.record(seed, folder))
    if reasons or record.seed != seed:
        raise UserError(f"{run.record(seed, folder)}: {reasons[0] if reasons else f'its seed is {record.seed}'}")
    return record


def _cell(records: Sequence[Record], column: Mapping[str, Any], row: Mapping[str, Any]) -> Cell:
    if column["header"] not in row.get("only", [column["header"]]):
        return Cell("")
    if "cost" in column:
        return cost_cell(records, column["cost"]) if "run" in row else Cell("")
    return score_cell(records, column, row, "baseline" in row)


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
