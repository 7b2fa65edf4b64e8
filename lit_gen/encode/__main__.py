"""``python -m lit_gen.encode CHECKPOINT --out FOLDER``: writes the integer codes of a data set."""

from __future__ import annotations

import sys

from lit_gen.cli.arguments import path_first
from lit_gen.cli.process import run_command
from lit_gen.encode.encode_options import parse

USAGE = """usage: python -m lit_gen.encode CHECKPOINT --out FOLDER [--split NAME ...] [--SECTION.OPTION=VALUE ...]

Encodes every example of the data by the encoder of a trained model, and writes the integer codes into a new folder:
the data of a second model, the prior over codes. The model must implement lit_gen.contract.EncodesToIntegers. The
configuration is the one the checkpoint carries; any option of lit_gen.fit overrides it.

  python -m lit_gen.encode runs/<run>/checkpoints/best.ckpt --out codes
  python -m lit_gen.fit --config configs/base.yaml --config configs/data/codes.yaml --data.path=codes --model=MADE

--out FOLDER        a new folder: a file for each split, and codes.json, which says what the codes are
--split NAME ...    of train, val and test; all three if not given, which is what a second model needs
--seed SEED         seed of the noise of a stochastic encoder (0)

Training examples that are drawn anew in every epoch (dynamic binarization, windows of text and audio) are encoded as
one fixed draw. All further options: python -m lit_gen.fit --help"""


def main(args: list[str]) -> None:
    """The command."""
    path = path_first(args, USAGE, "which checkpoint? give its path first")
    if path is None:
        return
    options, rest = parse(args[1:])
    # torch and Lightning are loaded only if there is something to encode.
    from lit_gen.encode.encoding import encode

    encode(path, options, rest)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
