"""The data file for a path alone: a folder of images or recordings, or a text file."""

from __future__ import annotations

import os
import re
import sys
from itertools import islice
from pathlib import Path

from lit_gen.data.folder_files import IMAGES, RECORDINGS
from lit_gen.errors import UserError

_PATH = "--data.path"
_MOST_FILES = 2000  # of a folder, to see what is in it
_FILES = {"image": "folder", "audio": "audio_folder", "text": "text_file"}


def value_of(args: list[str], option: str) -> str | None:
    """The last value of an option, given as ``--option=value`` or ``--option value``; None if it is not given."""
    found = None
    for i, arg in enumerate(args):
        if arg.startswith(f"{option}="):
            found = arg.removeprefix(f"{option}=")
        elif arg == option and i + 1 < len(args):
            found = args[i + 1]
    return found


def data_file(args: list[str]) -> list[str]:
    """Options that make data of a path, if a command line gives a path and neither a data module nor a file.

    Args:
        args: Options of ``lit_gen.fit``.

    Returns:
        ``--config FILE --data.name=NAME``, to stand in front of the others; empty if the data are given.

    Raises:
        UserError: If there are no data, or the path has nothing that can be read, or images and recordings.
    """
    if any(value_of(args, option) is not None for option in ("--config", "--data")):
        return []
    path = value_of(args, _PATH)
    if path is None:
        raise UserError(
            "which data? give --data.path=DIR for a folder of images or recordings or a text file, or --config with a"
            " data file such as configs/data/mnist.yaml"
        )
    kind = modality_of(Path(path).expanduser())
    options = ["--config", f"configs/data/{_FILES[kind]}.yaml"]
    if not any(arg.startswith("--data.name") for arg in args):
        options.append(f"--data.name={_name(path)}")
    print(f"data: {path} is read as {kind}, by {options[1]}", file=sys.stderr)
    return options


def modality_of(path: Path) -> str:
    """``image``, ``audio`` or ``text``, by the endings of the files below a folder, or of a file.

    Raises:
        UserError: If there is no such path, nothing that can be read, or images and recordings.
    """
    if path.is_file():
        if path.suffix.lower() in IMAGES.extensions | RECORDINGS.extensions:
            raise UserError(f"data.path: {path} is one file; give the folder of all images or recordings")
        return "text"
    if not path.is_dir():
        raise UserError(
            f"data.path: {path} does not exist; give a folder of images or recordings, or a text file; for a data set"
            " of the hub give --config with a data file such as configs/data/mnist.yaml"
        )
    names = (name for _, _, files in os.walk(path) for name in sorted(files) if not name.startswith("."))
    endings = [os.path.splitext(name)[1].lower() for name in islice(names, _MOST_FILES)]
    images = sum(ending in IMAGES.extensions for ending in endings)
    recordings = sum(ending in RECORDINGS.extensions for ending in endings)
    if images and recordings:
        raise UserError(
            f"data.path: {path} has images and recordings; give the folder of one kind, or --config"
            " configs/data/folder.yaml or configs/data/audio_folder.yaml"
        )
    if not images and not recordings:
        raise UserError(f"data.path: no images or recordings in {path} or below; a text is given as a file")
    return "image" if images else "audio"


def _name(path: str) -> str:
    name = re.sub(r"\W+", "_", Path(path).resolve().stem).strip("_").lower()
    return name[:40] or "my_data"
