"""A new folder for each run."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from lit_gen.errors import UserError
from lit_gen.stopping.processes import is_first_process

_HANDED_ON = "LIT_GEN_RUN_FOLDER"


def make_run_folder(root: str | Path, name: str | None, stem: str) -> Path:
    """Creates a folder for a run below root, and makes sure that it is new.

    Lightning starts the other processes of a run as copies of the command; they receive the folder in an environment
    variable, and create none.

    Args:
        root: Folder that contains all runs.
        name: Name of the folder; None: ``<stem>-<date>-<time>``, with a number appended if that exists.
        stem: Beginning of a generated name.

    Raises:
        UserError: If the name is taken, or the folder cannot be created.
    """
    if not is_first_process():
        named = root if name is None else Path(root).expanduser().absolute() / name
        return Path(os.environ.get(_HANDED_ON, named))
    wanted = name or f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = Path(root).expanduser().absolute() / wanted
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            try:
                folder.mkdir()
                break
            except FileExistsError:
                if name is not None:
                    raise UserError(f"run_name: {folder} exists already; choose another name") from None
                number += 1
                folder = folder.with_name(f"{wanted}-{number}")
    except OSError as error:
        raise UserError(f"trainer.default_root_dir: cannot create {folder} ({error.strerror})") from error
    os.environ[_HANDED_ON] = str(folder)
    return folder


@rank_zero_only
def remove_run_folder(folder: Path) -> None:
    """Removes the folder of a run that has not trained, so that its name is free again."""
    shutil.rmtree(folder, ignore_errors=True)
    os.environ.pop(_HANDED_ON, None)
