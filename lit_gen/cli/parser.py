"""The parser of the command line, with lit_gen's rules for class paths and errors in one line."""

from __future__ import annotations

import sys
from typing import Any

from jsonargparse import Namespace
from jsonargparse._actions import _ActionConfigLoad
from lightning.pytorch.cli import LightningArgumentParser

from lit_gen.cli.class_paths import class_path_rules
from lit_gen.cli.config_files import check_config_files
from lit_gen.cli.messages import explain, is_inner
from lit_gen.cli.renamed import find_renamed
from lit_gen.cli.shipped import with_shipped_configs
from lit_gen.errors import UserError


class Parser(LightningArgumentParser):
    """Parser that reports errors in one line with the nearest valid name instead of printing the usage."""

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parses under lit_gen's rules for class paths, after checks of the files, which may be of the package."""
        given = kwargs.pop("args", args[0] if args else None)
        given = with_shipped_configs(sys.argv[1:] if given is None else given)
        check_config_files(given)
        with class_path_rules():
            return super().parse_args(given, *args[1:], **kwargs)

    def _parse_common(self, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        """Checks what any source of options has given, before it is printed, checked or used."""
        self._check_groups(cfg)
        return super()._parse_common(cfg, *args, **kwargs)

    def _check_groups(self, cfg: Any) -> None:
        """Rejects another value than a mapping for a group of options, which the parser would keep as it is."""
        for action in self._actions:
            if not isinstance(action, _ActionConfigLoad) or action.dest not in cfg:
                continue
            value = cfg[action.dest]
            if isinstance(value, dict | Namespace) or (value is None and is_inner(self)):  # null: null_checks
                continue
            shown = "null" if value is None else repr(value)
            self.error(f"Group '{action.dest}' is not a mapping: {shown}")

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Raises instead of printing and exiting.

        Raises:
            UserError: Always; a BadArgument if this is the inner parser of a class's arguments.
        """
        problem = explain(message, self, ex)
        if is_inner(self):
            raise problem from ex
        raise find_renamed(problem.key, problem.value) or UserError(str(problem)) from ex
