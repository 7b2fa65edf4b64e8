"""``python -m lit_gen.cache``: lists the summaries of real data that are kept on disk, and removes them on request."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lit_gen.cli.arguments import Arguments
from lit_gen.cli.process import run_command
from lit_gen.data.cache import cache_root
from lit_gen.errors import UserError, writing
from lit_gen.records.file_size import file_size

USAGE = """usage: python -m lit_gen.cache [SPACE ...] [--delete]

Lists the summaries of real data with which samples are compared, by feature space: one file for each data set and
split, number of examples and statistic, in $LIT_GEN_CACHE/reference or ~/.cache/lit_gen/reference. With names of
spaces, such as inception, theirs alone.

Nothing is removed without --delete. What is removed is computed again when it is next needed; runs that are scoring
meanwhile are not disturbed. Decoded data are in other folders and stay.

  python -m lit_gen.cache
  python -m lit_gen.cache efficientnet_lite0 --delete"""


def main(args: list[str]) -> None:
    """Runs the command.

    Raises:
        UserError: There are no summaries in one of the spaces, or an option is wrong.
        FileError: A file cannot be removed.
    """
    if not {"-h", "--help"}.isdisjoint(args):
        print(USAGE)
        return
    parser = Arguments()
    parser.add_argument("--delete", action="store_true")
    options, spaces = parser.split(args)
    if unknown := [name for name in spaces if name.startswith("-")]:
        raise UserError(f"cache takes names of feature spaces and --delete, but was given '{unknown[0]}'")
    folder = cache_root() / "reference"
    files = {path: path.name.rpartition("-")[0] for path in sorted(folder.glob("*-*.pt"))}
    for name in spaces:
        if name not in files.values():
            known = ", ".join(dict.fromkeys(files.values())) or "none"
            raise UserError(f"cache: nothing is kept for a feature space '{name}' in {folder}; there are {known}")
    total = 0
    chosen = [path for path, space in files.items() if not spaces or space in spaces]
    for path in chosen:
        total += _handled(path, files[path], bool(options["delete"]))
    count = f"{len(chosen)} {'file' if len(chosen) == 1 else 'files'}, {file_size(total)}"
    if not chosen:
        print(f"{folder}: nothing is kept")
    elif options["delete"]:
        print(f"removed {count}")
    else:
        print(f"{count}; nothing was removed: --delete removes them")


def _handled(path: Path, space: str, delete: bool) -> int:
    """Prints a file's line, and removes it if asked; returns its size, 0 if another process has removed it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0
    if delete:
        with writing(path):
            path.unlink(missing_ok=True)
    written = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.st_mtime))
    print(f"{file_size(status.st_size):>10}  {space:<20} {written}  {path}")
    return status.st_size


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
