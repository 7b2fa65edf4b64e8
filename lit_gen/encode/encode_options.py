"""Options of the command ``encode``, apart from those of ``lit_gen.fit``, which are passed on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lit_gen.cli.arguments import Arguments
from lit_gen.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Options:
    """The command's own options.

    Attributes:
        out: Folder that is written.
        split: Names of the splits that are encoded.
        seed: Seed of the noise of a stochastic encoder.
    """

    out: Path
    split: tuple[str, ...] = SPLITS
    seed: int = 0


def parse(args: list[str]) -> tuple[Options, list[str]]:
    """The command's own options, and those of ``lit_gen.fit`` in their order.

    Raises:
        UserError: The folder is not given or exists already, or an option has an invalid value.
    """
    parser = Arguments()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--split", nargs="+", choices=SPLITS, default=SPLITS)
    parser.add_argument("--seed", type=int, default=0)
    found, rest = parser.split(args)
    out: Path | None = found["out"]
    if out is None:
        raise UserError("--out: which folder? give a new one")
    if out.exists() or out.is_symlink():
        raise UserError(f"--out: {out} exists already; give a new folder")
    return Options(out, tuple(name for name in SPLITS if name in found["split"]), found["seed"]), rest
