"""Builds runs from a command line, or from the configuration in a checkpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import yaml

from lit_gen.checkpoints import KEY
from lit_gen.cli.arguments import Arguments
from lit_gen.cli.command_line import CLI
from lit_gen.cli.config_files import load_yaml
from lit_gen.cli.import_paths import checked_packages
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
    checkpoint: dict[str, Any],
    options: Sequence[str],
    purpose: Literal["evaluate", "sample"] = "evaluate",
    allow: Sequence[str] = (),
) -> Run:
    """Builds the model, data and Trainer from a checkpoint's configuration, without loading the weights.

    A checkpoint may come from somebody else: its configuration names classes of lit_gen, ``torch.optim``, ``torch.nn``,
    torchmetrics and installed plugins alone, and of its options for the Trainer only the precision is taken.

    Args:
        checkpoint: Content of a run's checkpoint.
        options: Options of ``lit_gen.fit``, which override the configuration; ``--allow PACKAGE`` allows further
            packages, and may be repeated.
        purpose: ``evaluate`` reads the data, ``sample`` does not.
        allow: Further packages.

    Raises:
        UserError: If an option or the configuration is invalid or names a class that is not allowed, or the checkpoint
            is of a version with other options.
    """
    own = Arguments()
    own.add_argument("--allow", action="append", default=[])
    found, rest = own.split(list(options))
    packages = checked_packages([*allow, *found["allow"]])
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(_without_trainer(checkpoint[KEY]))
        file.flush()
        with _older_version("the checkpoint is", rest):
            return CLI(rest, purpose=purpose, of_checkpoint=(file.name, packages)).as_run()


def _without_trainer(text: str) -> str:
    """A checkpoint's configuration with the precision as its only option for the Trainer.

    Raises:
        UserError: If it is not YAML, or not a mapping.
    """
    try:
        tree = load_yaml(text)
    except yaml.YAMLError as error:
        raise UserError("the checkpoint's configuration is not YAML") from error
    if not isinstance(tree, dict):
        raise UserError("the checkpoint's configuration is not a mapping of options")
    trainer = tree.get("trainer")
    precision = trainer.get("precision") if isinstance(trainer, dict) else None
    kept = {"precision": precision} if isinstance(precision, str | int) else {}
    return yaml.safe_dump(tree | {"trainer": kept}, sort_keys=False, allow_unicode=True)


@contextmanager
def _older_version(what: str, options: Sequence[str]) -> Iterator[None]:
    """Context in which an old option that is not one of ``options`` is attributed to the configuration."""
    try:
        yield
    except RenamedError as error:
        if any(error.key in option.replace(".init_args.", ".") for option in options):
            raise
        raise UserError(f"{what} of an older version of lit_gen, where {error}") from error
