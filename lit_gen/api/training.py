"""``lit_gen.train``: trains and scores from Python, with the values of the YAML files."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lit_gen.api.loaded import LoadedModel
from lit_gen.api.loading import load
from lit_gen.cli.build import run_from_args
from lit_gen.cli.plugins import named_classes
from lit_gen.cli.process import configure_process
from lit_gen.errors import UserError
from lit_gen.fit import train_and_score
from lit_gen.records.record import Record
from lit_gen.stopping.requests import REQUESTS


@dataclass(frozen=True)
class TrainedRun:
    """What a training left.

    Attributes:
        folder: The run's folder.
        checkpoint: The checkpoint that was selected and scored.
        record: The run's record, with its scores.
    """

    folder: Path
    checkpoint: Path
    record: Record

    @cached_property
    def model(self) -> LoadedModel:
        """The trained model with the weights that were scored; loaded when it is first asked for."""
        allowed = sorted({path.partition(".")[0] for path in named_classes(self.record.config)})
        return load(self.checkpoint, allow=allowed)


def train(config: str | Path | Sequence[str | Path] | None = None, **values: Any) -> TrainedRun:
    """Trains a model, scores it and writes its record, as ``lit-gen fit`` does.

    Args:
        config: A configuration file such as ``configs/recipes/digits/vae.yaml``, or several of which later ones win;
            what is not on the disk is taken from the installed package.
        **values: Values that win over the files, nested as in YAML: ``budget={"max_examples": 5000}``; or named as on
            the command line, with dots: ``**{"model.optimizer.lr": 3e-4}``. A class may stand for its class path.

    Returns:
        The run's folder, its record, and its model.

    Raises:
        UserError: If a value is invalid, nothing was trained, or the training was interrupted: its message says how to
            go on.
    """
    files = [] if config is None else [config] if isinstance(config, str | Path) else list(config)
    if not files and not values:
        raise UserError("train: give a configuration, such as train('configs/recipes/digits/vae.yaml')")
    configure_process([])
    with _command_line(files, values) as args, REQUESTS.listen():
        found = train_and_score(run_from_args(args))
    if found is None:
        raise UserError("train: this process is not the first of the run, which alone has its record")
    checkpoint, record, file = found
    return TrainedRun(file.parent, checkpoint, record)


@contextlib.contextmanager
def _command_line(files: Sequence[str | Path], values: Mapping[str, Any]) -> Iterator[list[str]]:
    """The command line of ``fit`` for files and values; the nested ones are in a file inside the context."""
    nested = {name: plain(value) for name, value in values.items() if "." not in name}
    dotted = {name: plain(value) for name, value in values.items() if "." in name}
    args = [f"--config={file}" for file in files]
    with tempfile.TemporaryDirectory() as folder:
        if nested:
            file = Path(folder) / "values.yaml"
            file.write_text(yaml.safe_dump(nested), encoding="utf-8")
            args.append(f"--config={file}")
        yield args + [f"--{name}={_text(value)}" for name, value in dotted.items()]


def plain(value: Any) -> Any:
    """A value as YAML has it: classes become class paths, paths text, tuples lists.

    Raises:
        UserError: If it has no such form, such as an instance of a class.

    >>> plain({"path": Path("images"), "sizes": (1, 2)})
    {'path': 'images', 'sizes': [1, 2]}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Path):
        return str(value)
    raise UserError(
        f"train: a value of type {type(value).__name__} cannot be written to a configuration; give"
        " {'class_path': ..., 'init_args': {...}}"
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
