"""Builds runs from a command line, or from the configuration in a checkpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from lit_gen.checkpoints import KEY
from lit_gen.cli.command_line import CLI
from lit_gen.cli.renamed import RenamedError
from lit_gen.cli.resume import find_run, split_resume
from lit_gen.errors import UserError
from lit_gen.runs.run import Run


def run_from_args(args: list[str]) -> Run:
    """Builds the run that a command line of ``lit_gen.fit`` describes: a new one, or with ``--resume`` an earlier one.

    Args:
        args: The command line, without the program's name.

    Raises:
        UserError: If any argument is invalid, or there is nothing to resume.
    """
    folder, options = split_resume(args)
    if folder is None:
        return CLI(args).as_run()
    folder, position = find_run(folder)
    config = folder / "config.yaml"
    with _older_version(f"{config} is", options):
        return CLI(["--config", str(config), *options], resumed=(folder, position)).as_run()


def run_from_checkpoint(
    checkpoint: dict[str, Any], options: Sequence[str], purpose: Literal["evaluate", "sample"] = "evaluate"
) -> Run:
    """Builds the model, data and Trainer from a checkpoint's configuration, without loading the weights.

    Args:
        checkpoint: Content of a run's checkpoint.
        options: Options of ``lit_gen.fit``, which override the configuration.
        purpose: ``evaluate`` reads the data, ``sample`` does not.

    Raises:
        UserError: If an option or the configuration is invalid, or the checkpoint is of a version with other options.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(checkpoint[KEY])
        file.flush()
        with _older_version("the checkpoint is", options):
            return CLI(["--config", file.name, *options], purpose=purpose).as_run()


@contextmanager
def _older_version(what: str, options: Sequence[str]) -> Iterator[None]:
    """Context in which an old option that is not one of ``options`` is attributed to the configuration."""
    try:
        yield
    except RenamedError as error:
        if any(error.key in option.replace(".init_args.", ".") for option in options):
            raise
        raise UserError(f"{what} of an older version of lit_gen, where {error}") from error
