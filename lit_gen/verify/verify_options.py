"""The command's own options; other options are passed on to ``lit_gen.fit``."""

from __future__ import annotations

from dataclasses import dataclass

from lit_gen.cli.arguments import Arguments
from lit_gen.errors import UserError


@dataclass(frozen=True)
class VerifyOptions:
    """The command's own options.

    Attributes:
        only: Names of the metrics to take again; empty for all.
        tolerance: Largest relative difference that counts as rounding.
        any_checkpoint: Whether to score a checkpoint whose checksum differs from the recorded one.

    Raises:
        UserError: The tolerance is not between 0 and 1.
    """

    only: tuple[str, ...] = ()
    tolerance: float = 1e-6
    any_checkpoint: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise UserError(f"--tolerance is {self.tolerance}; a relative difference is at least 0 and below 1")


def parse(args: list[str]) -> tuple[VerifyOptions, list[str]]:
    """Parses the command's own options; returns them and the remaining arguments.

    Raises:
        UserError: If a value is not a number, or an option is misspelt.

    >>> parse(["--only", "bpd", "nll", "--trainer.accelerator=cpu"])
    (VerifyOptions(only=('bpd', 'nll'), tolerance=1e-06, any_checkpoint=False), ['--trainer.accelerator=cpu'])
    """
    parser = Arguments()
    parser.add_argument("--only", nargs="+", default=())
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--any-checkpoint", action="store_true")
    found, rest = parser.split(args)
    return VerifyOptions(**{**found, "only": tuple(found["only"])}), rest
