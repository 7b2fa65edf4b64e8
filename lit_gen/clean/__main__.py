"""``python -m lit_gen.clean RUNS``: lists files of runs that are not needed, and removes them on request."""

from __future__ import annotations

import sys
from pathlib import Path

from lit_gen.clean.superfluous import find_superfluous
from lit_gen.cli.arguments import Arguments
from lit_gen.cli.process import run_command
from lit_gen.errors import UserError, writing
from lit_gen.records.file_size import file_size

USAGE = """usage: python -m lit_gen.clean RUNS [--delete]

Lists files of the runs below a folder that are needed neither for scoring nor for training further, with their sizes:

- interrupted.ckpt that is older than last.ckpt of a finished run
- best-STEP.ckpt of a finished run (checkpoint.save_top_k), other than the scored one
- samples of further evaluations, in evaluations/NAME/samples
- temporary files of writes that were killed, if they are older than ten minutes

Nothing is removed without --delete. The best, last and scored checkpoints, record.json and config.yaml of a run are
never removed. What a new run keeps is chosen by --checkpoint.keep (best+last, best, last, none).

  python -m lit_gen.clean runs
  python -m lit_gen.clean runs --delete"""


def main(args: list[str]) -> None:
    """Runs the command.

    Raises:
        UserError: There is no such folder, or an option is wrong.
        FileError: A file cannot be removed.
    """
    if not {"-h", "--help"}.isdisjoint(args):
        print(USAGE)
        return
    parser = Arguments()
    parser.add_argument("--delete", action="store_true")
    options, rest = parser.split(args)
    if len(rest) != 1 or rest[0].startswith("-"):
        raise UserError(f"clean takes one folder of runs and --delete, but was given '{' '.join(args)}'")
    root = Path(rest[0])
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; give the folder that contains the runs")
    found = find_superfluous(root)
    for each in found:
        if options["delete"]:
            with writing(each.path):
                each.path.unlink(missing_ok=True)
        print(f"{file_size(each.size):>10}  {each.path}  ({each.reason})")
    total = f"{len(found)} {'file' if len(found) == 1 else 'files'}, {file_size(sum(each.size for each in found))}"
    if not found:
        print(f"{root}: nothing to remove")
    elif options["delete"]:
        print(f"removed {total}")
    else:
        print(f"{total}; nothing was removed: --delete removes them")


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
