"""Runs built from a command line, or from the configuration that a checkpoint carries."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

from lit_gen.checkpoints import KEY
from lit_gen.cli.command_line import CLI
from lit_gen.cli.renamed import RenamedError
from lit_gen.errors import UserError
from lit_gen.runs.run import Run


def run_from_args(args: list[str]) -> Run:
    """The run that a command line of ``lit_gen.fit`` asks for.

    Args:
        args: The command line, without the program's name.

    Raises:
        UserError: Anything in it is wrong.
    """
    return CLI(args).as_run()


def run_from_checkpoint(checkpoint: dict[str, Any], options: Sequence[str]) -> Run:
    """The model, data and Trainer that a checkpoint's configuration names; the weights are not loaded.

    Args:
        checkpoint: Content of a checkpoint of a run.
        options: Options of ``lit_gen.fit``, which override the configuration.

    Raises:
        UserError: Anything in either is wrong, or the checkpoint is of a version with other options.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(checkpoint[KEY])
        file.flush()
        try:
            return CLI(["--config", file.name, *options], purpose="evaluate").as_run()
        except RenamedError as error:
            if any(error.key in option.replace(".init_args.", ".") for option in options):
                raise
            raise UserError(f"the checkpoint is of an older version of lit_gen, where {error}") from error
