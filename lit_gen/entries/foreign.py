"""``lit-gen evaluate --samples``, ``--nats``, ``--module``: scores what another program made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lit_gen.cli.arguments import Arguments
from lit_gen.cli.command_line import CLI
from lit_gen.cli.data_kind import data_file, value_of
from lit_gen.cli.process import configure_process
from lit_gen.entries.declared import Declared
from lit_gen.entries.foreign_samples import count_samples, image_shape
from lit_gen.entries.own_object import is_model
from lit_gen.entries.scored import FOREIGN, About, score_entry
from lit_gen.errors import UserError
from lit_gen.records.record import Record
from lit_gen.runs.run import Run

USAGE = """usage: lit-gen evaluate --samples DIR_OR_FILE --name NAME --data.path=DIR [--SECTION.OPTION=VALUE ...]
       lit-gen evaluate --nats FILE --kind exact|bound|estimate --name NAME --config configs/data/mnist.yaml
       lit-gen evaluate --module package.Class --config configs/data/mnist.yaml

Scores samples or likelihoods that another program made, under the protocols of models trained here, and writes
runs/NAME/record.json, which the leaderboard shows beside them.

  --samples DIR_OR_FILE  folder of images (PNG); or .npy or .npz, [n, H, W, C] or [n, C, H, W], or [n, ...] of any data
  --range LOW HIGH       values that stand for black and white in a .npy or .npz file; needed for floats
  --nats FILE            negative log-likelihood in nats of each example of the test split, in its order: .npy, or a CSV
                         file with columns index and nats, or a number in each line
  --kind KIND            what these likelihoods are: exact, bound or estimate; the record marks them as declared
  --module CLASS         class with sample(n, seed), and nll(x) with likelihood_kind; or a model of lit_gen's interface
  --name NAME            name of the entry and of its folder; by default that of the file or class
  --family FAMILY        family of the model, such as gan; by default foreign
  --weights WEIGHTS      which weights were used: ema or raw; by default unknown, which stands beside either
  --parameters N         number of the model's parameters, if known

Options of lit_gen.fit name the data: --data.path=DIR for a folder of images, or --config configs/data/NAME.yaml.
All samples are scored, or the first --scoring.num_samples=N: a score of N samples stands beside others of N alone."""


def parser() -> Arguments:
    """Parser of the options of an entry."""
    own = Arguments()
    own.add_argument("--samples", type=Path)
    own.add_argument("--range", type=float, nargs=2)
    own.add_argument("--nats", type=Path)
    own.add_argument("--kind", choices=("exact", "bound", "estimate"))
    own.add_argument("--module")
    own.add_argument("--name")
    own.add_argument("--family", default=FOREIGN)
    own.add_argument("--weights", choices=("ema", "raw", "unknown"), default="unknown")
    own.add_argument("--parameters", type=int)
    return own


def main(args: list[str]) -> tuple[Record, Path] | None:
    """Scores the entry that a command line describes; returns its record and its path.

    Args:
        args: The command line.

    Raises:
        UserError: If an option is wrong or a file does not fit the data.
    """
    if not {"-h", "--help"}.isdisjoint(args):
        print(USAGE)
        return None
    options, rest = parser().split(args)
    _check(options)
    configure_process(rest)
    run = entry_run(options, rest)
    model = run.model
    if isinstance(model, Declared):
        model.check_split(run.scoring.split, len(run.data.split(run.scoring.split).x))
    name = options["name"] or _default_name(options)
    return score_entry(run, About(name, options["family"], options["weights"], options["parameters"]), args)


def entry_run(options: dict[str, Any], rest: list[str]) -> Run:
    """Builds the entry with its data and a Trainer for scoring.

    Args:
        options: The options of :func:`parser`.
        rest: Options of ``lit_gen.fit``.
    """
    # What costs something and shows nothing here: an entry has no training split, and is not drawn twice.
    first = ["--scoring.train_likelihood=false", "--scoring.replicates=1"]
    if options["samples"] is not None and value_of(rest, "--scoring.num_samples") is None:
        first.append(f"--scoring.num_samples={count_samples(options['samples'])}")
    folder = data_file(rest)
    if folder and options["samples"] is not None and not any(arg.startswith("--data.transform.") for arg in rest):
        folder += _of_size(options["samples"])
    return CLI([*folder, *first, *rest, *_model(options)], purpose="evaluate").as_run()


def _of_size(samples: Path) -> list[str]:
    """Options by which images of a folder get the size and the channels of samples."""
    channels, height, width = image_shape(samples)
    if height != width:
        raise UserError(f"--samples={samples}: {width}x{height} pixels; say how the data become such images, by"
                        " --config with a data file of your own")
    print(f"data: images are cut to squares and resized to {width}x{width}, as the samples are", file=sys.stderr)
    return [f"--data.transform.size={width}", f"--data.transform.channels={channels}"]


def _check(options: dict[str, Any]) -> None:
    files = ("samples", "nats", "kind", "range")
    if options["module"] is not None and any(options[name] is not None for name in files):
        raise UserError(f"--module: the class gives all; leave out --{', --'.join(files)}")
    if options["parameters"] is not None and options["parameters"] < 0:
        raise UserError(f"--parameters={options['parameters']}: give a number of at least 0")
    if not options["family"] or not options["family"].isprintable():
        raise UserError("--family: give a word, such as gan")


def _model(options: dict[str, Any]) -> list[str]:
    if options["module"] is not None:
        if is_model(options["module"]):
            return [f"--model={options['module']}"]
        return ["--model=lit_gen.entries.own_object.OwnObject", f"--model.path={options['module']}"]
    given = ["--model=lit_gen.entries.declared.Declared"]
    for name in ("samples", "nats"):
        if options[name] is not None:
            given.append(f"--model.{name}={options[name]}")
    if options["kind"] is not None:
        given.append(f"--model.kind={options['kind']}")
    if options["range"] is not None:
        given.append(f"--model.value_range={json.dumps(options['range'])}")
    return given


def _default_name(options: dict[str, Any]) -> str:
    if options["module"] is not None:
        return str(options["module"].rpartition(".")[2])
    return Path(options["samples"] or options["nats"]).resolve().name.split(".")[0]
