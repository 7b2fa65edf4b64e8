"""``lit-gen fit --resume RUN_FOLDER``: continues a run in its own folder, with its own configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lit_gen.cli.arguments import Arguments
from lit_gen.errors import UserError
from lit_gen.runs.newest_checkpoint import Position, newest_checkpoint

# Options of a new run, which a continued one does not have.
_ONLY_NEW = ("config", "run_name", "ckpt_path", "weights", "trainer.default_root_dir", "trainer.fast_dev_run")
# What ends training.
_LIMITS = ("max_steps", "max_epochs", "max_time")


def split_resume(args: list[str]) -> tuple[Path | None, list[str]]:
    """Returns the folder given with ``--resume``, or None, and the other arguments.

    Raises:
        UserError: If the option has no value, or is given together with an option of a new run.

    >>> split_resume(["--resume", "runs/a", "--budget.max_examples=5"])
    (PosixPath('runs/a'), ['--budget.max_examples=5'])
    """
    own = Arguments()
    own.add_argument("--resume", type=Path)
    found, rest = own.split(args)
    folder: Path | None = found["resume"]
    if folder is not None:
        for argument in rest:
            option = argument.removeprefix("--").split("=")[0]
            if argument.startswith("--") and option in _ONLY_NEW:
                raise UserError(f"--resume continues the run in its own folder: leave out --{option}")
    return folder, rest


def find_run(folder: Path) -> tuple[Path, Position]:
    """The absolute folder of a run, and its newest whole checkpoint, which is printed.

    Raises:
        UserError: If it is not the folder of a run, or has no whole checkpoint.
    """
    folder = folder.expanduser().absolute()
    if not (folder / "config.yaml").is_file():
        raise UserError(f"resume: {folder} is not the folder of a run: there is no config.yaml in it")
    position = newest_checkpoint(folder)
    _print_position(position)
    return folder, position


@rank_zero_only
def _print_position(position: Position) -> None:
    print(f"resuming from {position.path} ({position.examples_seen:,} examples, {position.step:,} steps)")


def check_unfinished(folder: Path, position: Position, config: dict[str, Any]) -> None:
    """Validates that there is something left to train or to score.

    Args:
        folder: The run's folder.
        position: The newest checkpoint.
        config: The configuration to continue with, as nested plain values.

    Raises:
        UserError: If the run is finished: a limit is reached, and its record is written.
    """
    record, notes = folder / "record.json", _read(folder / "training.json")
    if not record.is_file() or notes is None:  # an unfinished run may have been evaluated
        return
    budget, trainer = config["budget"]["max_examples"], config["trainer"]
    more = f"lit-gen fit --resume {folder} --budget.max_examples={2 * budget}"
    # The last checkpoint may have been removed (checkpoint.keep).
    if max(position.examples_seen, notes.get("examples_seen", 0)) >= budget:
        raise UserError(
            f"the run in {folder} is finished: its budget of {budget:,} examples is used up; to train it further, raise"
            f" the budget: {more}"
        )
    before = _read(record)
    try:
        unchanged = before["config"]["budget"]["max_examples"] == budget and all(
            before["config"]["trainer"].get(name) == trainer.get(name) for name in _LIMITS
        )
        ended = unchanged and before["cost"]["examples_seen"] >= position.examples_seen
    except (KeyError, TypeError):  # a damaged record, which the end of training replaces
        return
    if ended:
        raise UserError(
            f"the run in {folder} is finished: a limit of the Trainer ended it ({', '.join(_LIMITS)}); raise that limit"
            " to train it further"
        )


def _read(file: Path) -> Any:
    """Content of a JSON file; None if it is missing or damaged."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None
