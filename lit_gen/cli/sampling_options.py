"""The command line's ``--sampler``, ``--steps``, ``--guidance`` and the like, with one value or several."""

from __future__ import annotations

from lit_gen.cli.arguments import Arguments
from lit_gen.scoring.variants import Variants


def parse(args: list[str]) -> tuple[Variants, list[str]]:
    """Parses the sampling options of a command line; returns them and the remaining arguments.

    Raises:
        UserError: If a value is not a number, or an option is misspelt.

    >>> variants, rest = parse(["--steps", "10", "20", "--scoring.draws=2"])
    >>> variants.asked, rest
    ({'steps': (10, 20)}, ['--scoring.draws=2'])
    """
    parser = Arguments()
    kinds = {"sampler": str, "steps": int, "guidance": float, "temperature": float, "truncation": float}
    for name, kind in kinds.items():
        parser.add_argument(f"--{name}", type=kind, nargs="+", default=())
    found, rest = parser.split(args)
    return Variants(**{name: tuple(values) for name, values in found.items()}), rest
