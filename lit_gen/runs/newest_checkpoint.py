"""The newest whole checkpoint of a run's folder, from which training continues."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from lit_gen.checkpoints import BUDGET_STATE, END_STATE, KEY, peek, read_checkpoint
from lit_gen.errors import UserError


@dataclass(frozen=True)
class Position:
    """How far a checkpoint is.

    Attributes:
        path: The checkpoint.
        examples_seen: Number of training examples seen.
        step: Number of optimizer steps.
        at_end: Whether it was written for a run with a larger budget, before the last validation.
    """

    path: Path
    examples_seen: int
    step: int
    at_end: bool


def newest_checkpoint(folder: Path) -> Position:
    """Finds the newest whole checkpoint of a run: the last, that of an interruption, or the best.

    The newest is the one with the most steps; of several with equally many, the one that was written last, but the best
    only if there is no other: it may be from a validation that a run with a larger budget does not have. Damaged files
    are left out, with a line in the output.

    Args:
        folder: The run's folder.

    Raises:
        UserError: If there is no checkpoint, or no whole one.
    """
    files = sorted((folder / "checkpoints").glob("*.ckpt"))
    if not files:
        raise UserError(f"resume: {folder} has no checkpoint yet; start again with --config={folder / 'config.yaml'}")
    # Without the tensors: a file may be large, and only one of them is read completely.
    known = [position for file in files if (position := _position(file))]
    for position in sorted(known, key=_age, reverse=True):
        try:
            read_checkpoint(position.path)
        except UserError:
            _print_skipped(position.path)
        else:
            return position
    raise UserError(f"resume: no checkpoint in {folder / 'checkpoints'} is whole; start a new run")


def _age(position: Position) -> tuple[int, int, bool, bool, int]:
    is_best, written = position.path.name.startswith("best"), position.path.stat().st_mtime_ns
    return position.examples_seen, position.step, position.at_end, not is_best, written


def _position(file: Path) -> Position | None:
    """Position of a checkpoint to continue from; None with a line if the file is damaged or has no position."""
    try:
        content = peek(file)
        if KEY not in content or "optimizer_states" not in content:
            return None
        return Position(
            path=file,
            examples_seen=content["callbacks"][BUDGET_STATE]["examples_seen"],
            step=content["global_step"],
            at_end=bool(content["callbacks"].get(END_STATE)),
        )
    except Exception:  # damaged files raise exceptions of many types
        _print_skipped(file)
        return None


@rank_zero_only
def _print_skipped(file: Path) -> None:
    print(f"left out: {file} is damaged")
