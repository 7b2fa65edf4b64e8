"""One folder for each run, never shared."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from lit_gen.errors import UserError

_HANDED_ON = "LIT_GEN_RUN_FOLDER"


def make_run_folder(root: str | Path, name: str | None, stem: str) -> Path:
    """Makes a folder that no other run has, below root.

    Lightning starts further processes of a run as copies of the command; they are told the folder through
    the environment, and make none.

    Args:
        root: Where runs are collected.
        name: The folder's name; None: ``<stem>-<date>-<time>``, with a number behind it where that is taken.
        stem: Beginning of the name.

    Raises:
        UserError: The name is taken, or the folder cannot be made.
    """
    if not _is_first():
        return Path(os.environ.get(_HANDED_ON, root))
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
                    raise UserError(f"run_name: {folder} is there already; choose another name") from None
                number += 1
                folder = folder.with_name(f"{wanted}-{number}")
    except OSError as error:
        raise UserError(f"trainer.default_root_dir: cannot make {folder} ({error.strerror})") from error
    os.environ[_HANDED_ON] = str(folder)
    return folder


def _is_first() -> bool:
    """Whether this is the run's first process, by what launchers tell: the global rank, or the node's and the local."""
    for name in ("RANK", "SLURM_PROCID"):
        if os.environ.get(name):
            return int(os.environ[name]) == 0
    return all(int(os.environ.get(name) or 0) == 0 for name in ("NODE_RANK", "GROUP_RANK", "LOCAL_RANK"))
