"""The command line's ``--sampler``, ``--steps`` and ``--guidance``, each with one value or several."""

from __future__ import annotations

from lit_gen.cli.arguments import Arguments
from lit_gen.scoring.variants import Ways


def parse(args: list[str]) -> tuple[Ways, list[str]]:
    """The ways that a command line asks for, and what else it holds.

    Raises:
        UserError: A number that is none, or a misspelt option.

    >>> parse(["--steps", "10", "20", "--scoring.draws=2"])
    (Ways(sampler=(), steps=(10, 20), guidance=()), ['--scoring.draws=2'])
    """
    parser = Arguments()
    for name, kind in (("sampler", str), ("steps", int), ("guidance", float)):
        parser.add_argument(f"--{name}", type=kind, nargs="+", default=())
    found, rest = parser.split(args)
    return Ways(**{name: tuple(values) for name, values in found.items()}), rest
