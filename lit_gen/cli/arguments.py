"""Parser for a command's own options; the remaining options are passed on to ``lit_gen.fit``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from lit_gen.errors import UserError, nearest


class Arguments(argparse.ArgumentParser):
    """Parser of a part of the command line that reports errors in one line instead of printing the usage.

    Args:
        **settings: Arguments of :class:`argparse.ArgumentParser`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(add_help=False, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raises instead of printing the usage and exiting.

        Raises:
            UserError: Always.
        """
        raise UserError(message.removeprefix("argument "))

    def split(self, args: list[str]) -> tuple[dict[str, Any], list[str]]:
        """Returns the options that the parser knows, by name, and all others in their order.

        Raises:
            UserError: If a value is invalid, or an option is misspelt: ``lit_gen.fit`` knows only its own.
        """
        found, rest = self.parse_known_args(args)
        names = [action.option_strings[0].removeprefix("--") for action in self._actions]
        for option in rest:
            name = option.removeprefix("--").split("=")[0]
            # Most of the other options have a dot in their name, and those without do not resemble any of these.
            if option.startswith("--") and "." not in name and (hint := nearest(name, names)):
                raise UserError(f"unknown option --{name}{hint}")
        return vars(found), rest


def path_first(args: list[str], usage: str, question: str) -> Path | None:
    """The path that a command's arguments begin with; None if its usage was asked for, which is printed.

    Args:
        args: The arguments.
        usage: What the command prints for ``--help``, or without arguments.
        question: What is missing, such as ``which checkpoint? give its path first``.

    Raises:
        UserError: If the first argument is missing or an option.
    """
    if not args or not {"-h", "--help"}.isdisjoint(args):
        print(usage)
        if args:
            return None
    if not args or args[0].startswith("-"):
        raise UserError(question)
    return Path(args[0])
