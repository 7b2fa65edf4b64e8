"""``python -m lit_gen.verify RUN``: takes the scores of a record again and compares them."""

from __future__ import annotations

import sys

from lit_gen.cli.arguments import path_first
from lit_gen.cli.process import run_command
from lit_gen.verify.verify_options import parse

USAGE = """usage: python -m lit_gen.verify RUN [--only NAME ...] [--tolerance REL] [--any-checkpoint]
                                [--SECTION.OPTION=VALUE ...]

Takes the scores of a record again, from the checkpoint and with the options that the record names, and compares values
and standard errors digit by digit. RUN is a run's folder, a folder evaluations/NAME of it, or a record.json. Nothing
is written.

  python -m lit_gen.verify runs/vae-digits-...
  python -m lit_gen.verify runs/vae-digits-.../evaluations/last --only bpd --trainer.accelerator=cpu

options:
  --only NAME ...    only these metrics, by their names in the record, such as bpd or fd_mnist_cnn
  --tolerance REL    largest relative difference that counts as rounding (1e-6)
  --any-checkpoint   score the checkpoint even if its sha256 is not the recorded one

Everything is computed in one process, unless --trainer.devices is given. Recorded options that name a class of another
package or a configuration file are used only if they are given here too, word for word.

The exit code is 0 if all scores agree, 1 if a score differs or cannot be taken again, or the checkpoint is missing or
is another one, and 2 for wrong input.

All further options: python -m lit_gen.fit --help"""


def main(args: list[str]) -> int:
    """Runs the command; returns its exit code.

    Raises:
        UserError: An option is wrong, or there is no record.
    """
    path = path_first(args, USAGE, "which run? give its folder first")
    if path is None:
        return 0
    options, passed = parse(args[1:])
    # Help and errors in options are shown without importing torch and Lightning.
    from lit_gen.verify.verification import verify

    return verify(path, options, passed)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
