"""``python -m lit_gen.catalog``, which is ``lit-gen list``: what there is to choose from, with a line each."""

from __future__ import annotations

import sys

from lit_gen.catalog.listing import SECTIONS, section_text
from lit_gen.cli.process import run_command
from lit_gen.cli.shipped import shipped_file
from lit_gen.errors import UserError, nearest

USAGE = f"""usage: python -m lit_gen.catalog [SECTION ...] [--path NAME]

Lists models, recipes, data sets, feature spaces and statistics with a line each; with names of sections those alone,
from {', '.join(SECTIONS)}.

  lit-gen list                     the first five of them
  lit-gen list recipes
  lit-gen list --path digits/vae   path of a configuration or sweep of the package, to copy it or to give it to wandb
  lit-gen help VDM                 the arguments of a class"""


def main(args: list[str]) -> None:
    """Runs the command.

    Raises:
        UserError: If there is no such section or file.
    """
    if not {"-h", "--help"}.isdisjoint(args):
        print(USAGE)
        return
    if args[:1] == ["--path"] or any(arg.startswith("--path=") for arg in args[:1]):
        name = args[0].partition("=")[2] or "".join(args[1:2])
        if (file := shipped_file(name)) is None:
            raise UserError(f"--path: the package has no file '{name}'; 'lit-gen list recipes data sweeps' shows them")
        print(file)
        return
    for name in args:
        if name not in SECTIONS:
            hint = nearest(name, SECTIONS) or f"; sections are {', '.join(SECTIONS)}"
            raise UserError(f"list: there is no section '{name}'{hint}")
    print("\n\n".join(section_text(name) for name in args or list(SECTIONS)[:5]))
    if not args:
        print("\nmore: lit-gen list " + " | ".join(list(SECTIONS)[5:]) + "; arguments of a class: lit-gen help NAME")


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
