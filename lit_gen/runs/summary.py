"""Final output of a command: the scores with their errors, and the paths of all files."""

from __future__ import annotations

from pathlib import Path

from lit_gen.records.flags import flag_lines, flags
from lit_gen.records.record import BASELINES, Record
from lit_gen.records.score import SIGNS, Score
from lit_gen.runs.training_data import TRAINED_ON
from lit_gen.scoring.sampling_bar import SETTINGS, describe


def print_record(record: Record, path: Path) -> None:
    """Prints a record's scores and costs as a table, then why scores are flagged, and the paths of the run's files.

    Of a record of baselines alone, these are printed.

    Args:
        record: The record.
        path: Path of the record.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As Text, because rich would take brackets in a str, such as those of a name '[v1]', for its markup.
    table = Table(title=Text(f"{record.model} on {record.data}"), title_justify="left")
    for heading in ("score", "value", "standard error", "protocol"):
        left = heading in ("score", "protocol")
        # A score's name is never cut: "precision-mnist_..." would name no space.
        table.add_column(heading, justify="left" if left else "right", overflow="fold", no_wrap=heading == "score")
    for score in record.baselines if record.family == BASELINES else record.scores:
        sign = f"{SIGNS[score.kind]} " if score.kind else ""
        table.add_row(
            Text(f"{score.label} !" if flags(score, record) else score.label),
            Text(f"{sign}{score.value:.4f} {score.unit}".rstrip()),
            Text(_error(score)),
            Text(_how(score, record)),
        )
    table.add_section()
    for name, shown in _costs(record):
        table.add_row(Text(name), Text(shown), "", "")
    console = Console()
    console.print(table)
    for line in flag_lines(record):
        console.print(f"! {line}", soft_wrap=True, highlight=False, markup=False)
    for what, where in _places(record, path):
        console.print(f"{what:<12} {where}", soft_wrap=True, highlight=False, markup=False)


def _how(score: Score, record: Record) -> str:
    """What was scored and how: data if not the run's own, split, estimator or sampler with its settings, weights."""
    protocol = score.protocol
    parts = [protocol.data if protocol.data != record.data else "", protocol.split or ""]
    if protocol.estimator:
        parts.append(f"{protocol.estimator}, {protocol.num_examples:,} examples{_groups(score)}")
    else:
        settings = protocol.sampler_settings
        # The only sampler of most families has no settings, and a name that says no more than the family.
        named = protocol.sampler and (protocol.weights == "none" or any(name in settings for name in SETTINGS))
        parts.append(describe({"name": protocol.sampler, **settings}) if named else "")
        parts.append(f"{protocol.num_samples:,} samples")
    weights = "" if protocol.weights == "none" else f"{protocol.weights} weights"
    return ", ".join(part for part in (*parts, weights, score.note) if part)


def _error(score: Score) -> str:
    """The standard error, and the part that more draws would remove."""
    if score.standard_error is None:
        return ""
    draws = score.error.from_draws if score.error else None
    return f"{score.standard_error:.3g}" + (f" (draws {draws:.2g})" if draws else "")


def _groups(score: Score) -> str:
    if score.error is None or score.error.num_groups is None:
        return ""
    first, _, rest = score.error.group.partition(" ")
    return f" in {score.error.num_groups:,} {first}s{' ' if rest else ''}{rest}"


def _costs(record: Record) -> list[tuple[str, str]]:
    cost = record.cost
    rows = [] if cost.parameters is None else [("parameters", f"{cost.parameters:,}")]
    if cost.examples_seen is not None:
        rows.append(("examples seen", f"{cost.examples_seen:,}"))
    if cost.train_seconds is not None:
        rows.append(("training", f"{cost.train_seconds:.1f} s"))
    if cost.examples_per_second is not None:
        rows.append(("rate", f"{cost.examples_per_second:,.0f} examples/s"))
    if cost.peak_memory_bytes is not None:
        rows.append(("peak memory", f"{cost.peak_memory_bytes / 2**20:,.0f} MiB"))
    if cost.seconds_per_1000_samples is not None:
        rows.append(("1,000 samples", f"{cost.seconds_per_1000_samples:.3g} s"))
    rows += [
        (name.replace("_", " "), f"{share:.2%}")
        for name, share in record.notes.items()
        if name.endswith("_clamped") and isinstance(share, float)
    ]
    rows += [
        (name.replace("_", " "), f"{count:,}") for name, count in record.notes.items() if name.endswith(TRAINED_ON)
    ]
    return rows


def _places(record: Record, path: Path) -> list[tuple[str, Path]]:
    places = [("record", path)]
    # Of recordings only the first: the others are in the same folder.
    shown = [file for role, file in record.files.items() if role.startswith("sample_")]
    pairs = [record.files["nearest_pairs"]] if "nearest_pairs" in record.files else []
    places += [("copies", path.parent / file) for file in pairs]
    return places + [("samples", path.parent / file) for file in shown[:1]]
