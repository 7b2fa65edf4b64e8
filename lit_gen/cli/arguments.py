"""A command's own options, told apart from those of ``lit_gen.fit``, which are handed on."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from lit_gen.errors import UserError, nearest


class Arguments(argparse.ArgumentParser):
    """A parser of some of a command line, whose errors are one line and not a page of usage.

    Args:
        **settings: Of :class:`argparse.ArgumentParser`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(add_help=False, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raises.

        Raises:
            UserError: Always.
        """
        raise UserError(message.removeprefix("argument "))

    def split(self, args: list[str]) -> tuple[dict[str, Any], list[str]]:
        """The options that the parser knows, by name, and the others in their order.

        Raises:
            UserError: One cannot be what it is given, or is misspelt: the parser of ``lit_gen.fit`` knows only its own.
        """
        found, rest = self.parse_known_args(args)
        names = [action.option_strings[0].removeprefix("--") for action in self._actions]
        for option in rest:
            name = option.removeprefix("--").split("=")[0]
            # Most of the others' names have a dot, and those without resemble none of these.
            if option.startswith("--") and "." not in name and (hint := nearest(name, names)):
                raise UserError(f"unknown option --{name}{hint}")
        return vars(found), rest
