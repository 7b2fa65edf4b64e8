"""Files of runs that are needed neither for scoring nor for training further; reads names, times and records alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lit_gen.records.atomic import leftovers

_NEVER = frozenset({"best.ckpt", "last.ckpt", "record.json", "config.yaml", "training.json"})


@dataclass(frozen=True)
class Superfluous:
    """A file that is not needed.

    Attributes:
        path: The file.
        reason: Why it is not needed, for the list.
        size: Its size in bytes.
    """

    path: Path
    reason: str
    size: int


def find_superfluous(root: Path) -> list[Superfluous]:
    """All such files of the runs below a folder, in order of their paths; links are not followed.

    ``best.ckpt``, ``last.ckpt``, ``record.json``, ``config.yaml`` and the scored checkpoint of a run are never among
    them.

    Args:
        root: A folder of runs, or a run's folder.
    """
    found = {}
    for folder in _folders(root):
        reasons = dict.fromkeys(leftovers(folder), "left by a killed write")
        if (folder / "config.yaml").is_file():
            reasons |= dict(_of_run(folder))
        for path, reason in reasons.items():
            if path.name not in _NEVER and path.is_file() and not path.is_symlink():
                found[path] = Superfluous(path, reason, path.stat().st_size)
    return [found[path] for path in sorted(found)]


def _folders(root: Path) -> Iterator[Path]:
    yield root
    for path in sorted(root.iterdir()):
        # W&B's folder may hold data that are not uploaded yet.
        if path.is_dir() and not path.is_symlink() and path.name != "wandb":
            yield from _folders(path)


def _of_run(run: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(run.glob("evaluations/*/samples/*")):
        yield path, "samples of a further evaluation"
    last, scored = run / "checkpoints" / "last.ckpt", _scored(run)
    if scored is None or not _is_finished(run, last):
        return
    interrupted = last.with_name("interrupted.ckpt")
    both = interrupted.is_file() and last.is_file()
    if both and interrupted.name != scored and _time(interrupted) <= _time(last):
        yield interrupted, "older than last.ckpt of a finished run"
    if last.with_name(scored).is_file():
        for path in sorted(last.parent.glob("best-*.ckpt")):
            if path.name != scored:
                yield path, f"not the scored one, {scored}"


def _is_finished(run: Path, last: Path) -> bool:
    """Whether a run is trained and scored, and has not been trained further since.

    The notes are written after the last checkpoint: a newer one belongs to further training, which may need the rest.
    """
    notes = run / "training.json"
    if not (run / "record.json").is_file() or not notes.is_file():
        return False
    return not last.is_file() or _time(last) <= _time(notes)


def _scored(run: Path) -> str | None:
    """Name of the checkpoint that the run selected; None if that is unknown."""
    try:
        return str(json.loads((run / "training.json").read_text())["selection"]["checkpoint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _time(path: Path) -> float:
    return path.stat().st_mtime
