"""``lit-gen evaluate --baselines``: scores baselines of a data set, as a record of their own."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.arguments import Arguments
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.command_line import CLI
from lit_gen.cli.data_kind import data_file
from lit_gen.cli.process import configure_process
from lit_gen.entries.baselines.baseline import Baseline
from lit_gen.entries.baselines.compressors import compressors
from lit_gen.entries.baselines.factorized import FactorizedCategorical
from lit_gen.entries.baselines.gaussian import GaussianValues
from lit_gen.entries.baselines.memorizer import Memorizer
from lit_gen.entries.baselines.uniform import UniformNoise
from lit_gen.entries.scored import entry_folder, scored
from lit_gen.errors import UserError, writing
from lit_gen.likelihood import bits_per_dim
from lit_gen.records.protocol import Protocol
from lit_gen.records.record import BASELINES, Cost, Record, Score, Selection
from lit_gen.runs.possible import known_entropy
from lit_gen.runs.provenance import environment, now
from lit_gen.runs.record_files import RECORD, save_record
from lit_gen.runs.run import Run

OPTION = "--baselines"
MODELS: tuple[type[Baseline], ...] = (UniformNoise, FactorizedCategorical, GaussianValues, Memorizer)
USAGE = """usage: lit-gen evaluate --baselines [CHECKPOINT] [--SECTION.OPTION=VALUE ...]

Scores baselines of a data set under the protocol of a checkpoint's scores, or of the given options, and writes
runs/baselines-DATA/record.json, which the leaderboard shows as marked rows:

  real training examples; uniform noise; a factorized categorical; a Gaussian with the data's covariance; a memorizer
  of a tenth of the training examples; and, as bits per dimension, PNG, WebP, FLAC, zlib and xz

  lit-gen evaluate --baselines runs/<run>/checkpoints/best.ckpt
  lit-gen evaluate --baselines --config configs/data/mnist.yaml --scoring.num_samples=5000
  lit-gen evaluate --baselines --data.path=DIR"""


def main(args: list[str]) -> tuple[Record, Path] | None:
    """Scores the baselines of the data that a command line names; returns their record and its path.

    Raises:
        UserError: If an option is wrong, or the record cannot be written.
    """
    if not {"-h", "--help"}.isdisjoint(args):
        print(USAGE)
        return None
    own = Arguments()
    own.add_argument(OPTION, nargs="?", type=Path)
    leading = [] if not args or args[0].startswith("-") else [args[0]]  # CHECKPOINT --baselines
    options, rest = own.split(args[len(leading) :])
    configure_process(rest)
    run = _run(Path(leading[0]) if leading else options["baselines"], rest)
    folder = entry_folder(run, f"baselines-{run.data.name}")
    found = list(all_baselines(run))
    if not run.trainer.is_global_zero:
        return None
    record = _record(run, [dataclasses.replace(score, arguments=tuple(args)) for score in found])
    with writing(folder / RECORD):
        return save_record(record, folder, None), folder / RECORD


def all_baselines(run: Run) -> list[Score]:
    """The scores of all baselines that fit the data, of weights ``none``.

    A baseline that cannot be computed is left out with a line on stderr.

    Args:
        run: Data, Trainer and protocol; its model is not used.
    """
    train, scores = run.data.split("train").x, []
    for cls in MODELS:
        if run.data.modality not in cls.modalities:
            continue
        model = cls(run.data.shape, run.data.num_levels)
        try:
            model.fit(train)
        except UserError as error:
            sys.stderr.write(f"left out: {model.name}: {error}\n")
            continue
        scorer = scored(dataclasses.replace(run, model=model), "none")
        scores += [*scorer.scores, *scorer.baselines]
    scores += _codes(run, next((s.protocol for s in scores if s.name == "bpd"), None))
    unique = {(score.name, score.protocol.hash): score for score in scores}
    return [score for score in unique.values() if score.protocol.split != "train"]


def _codes(run: Run, like: Protocol | None) -> list[Score]:
    """Bits per dimension of the compressors, under the protocol of another likelihood."""
    if like is None or like.num_examples != len(run.data.split(run.scoring.split).x):
        return []  # a compressed subset would not be the split
    x, data = run.data.split(run.scoring.split).x.numpy(), run.data
    found = []
    for name, compress in compressors(data.modality, data.shape).items():
        nats = 8 * math.log(2.0) * compress(x) / len(x)
        for metric, value in (("bpd", bits_per_dim(nats, data.shape)), ("nll", nats)):
            protocol = dataclasses.replace(like, metric=metric, estimator=name)
            found.append(Score(name=metric, value=value, kind="bound", protocol=protocol))
    return found


def _run(path: Path | None, rest: Sequence[str]) -> Run:
    first = [f"--model={UniformNoise.__module__}.UniformNoise"]
    if path is not None:
        return run_from_checkpoint(read_checkpoint(path), [*rest, "--scoring.estimator=null", *first])
    return CLI([*data_file(list(rest)), *rest, *first], purpose="evaluate").as_run()


def _record(run: Run, baselines: Sequence[Score]) -> Record:
    config: dict[str, Any] = yaml.safe_load(run.config)
    return Record(
        run_name=f"baselines-{run.data.name}",
        family=BASELINES,
        model="baselines",
        data=run.data.name,
        dimension=run.data.dimension,
        scores=(),
        baselines=baselines,
        entropy=known_entropy(run.data),
        cost=Cost(parameters=None),
        selection=Selection(rule="no checkpoint", checkpoint="", step=0),
        config=config,
        environment=environment(run.trainer),
        created=now(),
        seed=0,
        train_hash=run.data.identity("train"),
    )
