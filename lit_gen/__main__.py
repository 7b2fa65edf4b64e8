"""``lit-gen COMMAND`` and ``python -m lit_gen COMMAND``: one program for all commands."""

from __future__ import annotations

import importlib
import os
import sys

from lit_gen import __version__
from lit_gen.catalog.class_help import class_help
from lit_gen.cli.fit_help import is_short_help, short_help
from lit_gen.cli.process import run_command
from lit_gen.errors import UserError, nearest
from lit_gen.stopping.early import ended_at_once

# Module with the command's `main`, and what the command does. Modules are named, not imported: torch and Lightning are
# loaded only by the commands that need them.
COMMANDS: dict[str, tuple[str, str]] = {
    "fit": ("lit_gen.fit", "train a model, score it and write its record"),
    "evaluate": ("lit_gen.evaluate", "score a checkpoint under another protocol"),
    "verify": ("lit_gen.verify.__main__", "take the scores of a record again and compare them digit by digit"),
    "sample": ("lit_gen.sample.__main__", "draw samples, completions or interpolations from a checkpoint"),
    "convert": ("lit_gen.convert.__main__", "turn a DDPM published for diffusers into a run"),
    "encode": ("lit_gen.encode.__main__", "write the integer codes of a trained model, as data for a second one"),
    "compare": ("lit_gen.compare.__main__", "train one model of each family on the same data, within a time"),
    "leaderboard": ("lit_gen.leaderboard.__main__", "compare all runs below a directory"),
    "cache": ("lit_gen.cache.__main__", "list the kept statistics of real data, and remove them"),
    "doctor": ("lit_gen.doctor.__main__", "look at the machine and the installation, and say what to do"),
    "list": ("lit_gen.catalog.__main__", "show models, recipes, data sets, feature spaces and statistics"),
    "clean": ("lit_gen.clean.__main__", "list files of runs that are not needed any more, and remove them"),
}

_USAGE = """usage: lit-gen COMMAND [ARGUMENTS ...]

Trains generative models and compares them.

commands:
{commands}

Start here; the data need no download:

  lit-gen fit --config configs/recipes/digits/vae.yaml
  lit-gen leaderboard runs

lit-gen help COMMAND  shows the arguments of a command
lit-gen help VAE      shows the arguments of a model, data module, statistic, network ...
lit-gen --version     prints the version
lit-gen COMMAND ... --quiet  prints results, warnings and errors alone
"""


def usage() -> str:
    """Text of ``lit-gen --help``."""
    width = max(map(len, COMMANDS))
    return _USAGE.format(commands="\n".join(f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()))


def main(args: list[str]) -> int | None:
    """Runs the command that the first argument names.

    Args:
        args: The command line, without the program's name.

    Returns:
        The command's exit code; None means 0.

    Raises:
        UserError: There is no such command, or the command's own input is wrong.
    """
    if args[:1] in ([], ["help"], ["--help"], ["-h"]):
        if args[:1] == ["help"] and args[1:2] not in ([], ["help"]):
            return _help(args[1])
        print(usage(), end="")
        return None
    if args == ["--version"]:
        print(f"lit_gen {__version__}")
        return None
    name, *rest = args
    if name not in COMMANDS:
        hint = nearest(name, [*COMMANDS, "help", "--help", "--version"]) or f"; commands are {', '.join(COMMANDS)}"
        raise UserError(f"no command '{name}'{hint}")
    if name == "fit" and is_short_help(rest):
        print(short_help(), end="")
        return None
    # Raised inside an import, a stop may be caught there: torch takes a numpy that cannot be imported for missing.
    with ended_at_once():
        command = importlib.import_module(COMMANDS[name][0])
    code: int | None = command.main(rest)
    return code


def _help(name: str) -> int | None:
    """Shows the arguments of a command or a class."""
    if name in COMMANDS:
        return main([name, "--help"])
    print(class_help(name, list(COMMANDS)))
    return None


def run() -> int:
    """Runs the program ``lit-gen``; returns its exit code.

    As for ``python -m lit_gen``, classes of the user's own are found in the current folder.
    """
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return run_command(main, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
