"""``python -m lit_gen.evaluate CHECKPOINT``: scores a checkpoint under a protocol and writes its record."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L

from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.arguments import Arguments, path_first
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.process import configure_process, run_command
from lit_gen.cli.sampling_options import parse
from lit_gen.errors import UserError, writing
from lit_gen.records.per_example import write_examples
from lit_gen.records.record import Record
from lit_gen.runs.record_files import RECORD, previous_record, record_dir, save_record
from lit_gen.runs.results import make_record
from lit_gen.runs.run import Run
from lit_gen.runs.sample_output import write_final_samples, write_nearest_pairs
from lit_gen.runs.summary import print_record
from lit_gen.runs.training_data import trained_on
from lit_gen.runs.weights import check_finite, load_weights
from lit_gen.scoring.scored_data import ScoredParts
from lit_gen.scoring.scorer import Scorer
from lit_gen.scoring.variants import sampling_variants

USAGE = """usage: python -m lit_gen.evaluate CHECKPOINT ... [--scoring.OPTION=VALUE ...] [--SECTION.OPTION=VALUE ...]
                                  [--sampler NAME ...] [--steps N ...] [--guidance G ...]

Scores a checkpoint in a fresh Trainer and writes record.json into its run's folder. The configuration is the one
in the checkpoint; any option of lit_gen.fit overrides it. Several checkpoints are scored one after another; those of a
run that kept all (--checkpoint.save_top_k=-1) give its scores over examples seen. Examples:

  python -m lit_gen.evaluate runs/vae-digits-.../checkpoints/best.ckpt --scoring.estimator=iwae --scoring.draws=5000
  python -m lit_gen.evaluate CHECKPOINT --quality.extractor=Inception --scoring.num_samples=50000
  python -m lit_gen.evaluate runs/vae-digits-.../checkpoints/best-*.ckpt

options of the protocol:
  --scoring.split=test|val        split to score, and to compare samples with
  --scoring.num_samples=N         number of samples to score
  --scoring.estimator=NAME        one of the family's likelihood estimators, such as elbo or iwae
  --scoring.draws=K               number of the estimator's draws per example
  --scoring.replicates=R          independent estimates per example, whose differences show the error from draws
  --scoring.max_examples=N        number of examples to compute likelihoods of, to save time
  --scoring.train_likelihood=BOOL whether to score as many training examples too
  --scoring.weights=auto|ema|raw  which weights
  --scoring.seed=SEED             seed of the noise
  --quality.extractor=CLASS       feature space for the data's modality
  --quality.statistics+=CLASS     further statistic of its features, such as KID

permission:
  --allow PACKAGE                 further package whose classes the checkpoint's configuration may name

further output:
  --per-example FILE              write index, group, nats and their variance over draws of each example, as CSV

sampling options, of which each combination is scored and added to the record; likelihoods, which do
not depend on them, stay as they are:
  --sampler NAME ...              samplers of a diffusion model, such as ddim
  --steps N ...                   numbers of the sampler's steps
  --guidance G ...                guidance scales of a model with classes: 1 for none
  --temperature T ...             temperatures of a flow or an autoregressive model
  --truncation T ...              largest latents of a GAN

  python -m lit_gen.evaluate CHECKPOINT --sampler ddim dpmpp_2m --steps 10 20 50 250 1000

Samples or likelihoods of another program are scored by --samples, --nats or --module in place
of a checkpoint, and baselines by --baselines:

  python -m lit_gen.evaluate --samples DIR_OR_FILE --name NAME --data.path=DIR
  python -m lit_gen.evaluate --baselines [CHECKPOINT]
  python -m lit_gen.evaluate --samples --help
  python -m lit_gen.evaluate --baselines --help

All options: python -m lit_gen.fit --help"""


def score(
    run: Run,
    trainer: L.Trainer,
    path: Path,
    checkpoint: dict[str, Any],
    samplings: Sequence[Any] = (),
    save: Callable[[Scorer], None] | None = None,
) -> Scorer:
    """Scores a checkpoint with a fresh Trainer; returns the scorer with the scores. Arguments as in :class:`Scorer`."""
    scoring = run.scoring
    weights, halflife = load_weights(run, checkpoint, scoring.weights)
    check_finite(run.model, path)
    scorer = Scorer(
        run.data, scoring, run.quality.extractor, run.quality.statistics, weights, halflife, samplings, save
    )
    trainer.callbacks.append(scorer)  # type: ignore[attr-defined]
    trainer.test(run.model, datamodule=ScoredParts(run.data, scorer), verbose=False)
    return scorer


def evaluate(
    run: Run,
    trainer: L.Trainer,
    path: Path,
    samplings: Sequence[Any] = (),
    arguments: Sequence[str] = (),
    per_example: Path | None = None,
    as_they_come: bool = False,
) -> tuple[Record, Path] | None:
    """Scores, writes the record and, for a new record, samples; returns None on all processes but the first.

    Args:
        run: The model and data.
        trainer: A fresh Trainer.
        path: Path of the checkpoint.
        samplings: Sampling options to score samples with; if there are any, likelihoods are not computed.
        arguments: Command line of the evaluation, without the checkpoint; the record keeps it with each score.
        per_example: File to which the nats of each example of the scored split are written as well.
        as_they_come: Whether the record is written after the likelihoods and after each sampler, so that a kill loses
            the scores of one only.

    Raises:
        UserError: If a file of nats is requested from a model that has none.
        FileError: If the record cannot be written.
    """
    if per_example is not None and (samplings or not run.model.estimators):
        why = "with sampling options, no likelihood is computed" if samplings else "the model has no likelihood"
        raise UserError(f"--per-example={per_example}: {why}; leave it out")
    checkpoint = read_checkpoint(path)
    # Before scoring, which may take hours: a record that cannot be read must not waste them.
    folder = record_dir(path, checkpoint)
    previous = previous_record(folder, path, checkpoint)
    if trained_on(run, checkpoint, previous).name != run.data.name:
        # The other data's training examples were not trained on: their likelihood shows no overfitting.
        run = dataclasses.replace(run, scoring=dataclasses.replace(run.scoring, train_likelihood=False))

    def save(scorer: Scorer) -> Record:
        with writing(folder):
            for file, examples in scorer.examples.items():
                write_examples(folder / file, examples)
        record = make_record(run, trainer, path, folder, scorer, checkpoint, previous, arguments)
        with writing(folder / RECORD):
            return save_record(record, folder, previous)

    def save_on_first(scorer: Scorer) -> None:
        if trainer.is_global_zero:
            save(scorer)

    scorer = score(run, trainer, path, checkpoint, samplings, save_on_first if as_they_come else None)
    if not trainer.is_global_zero:
        return None
    if per_example is not None:
        with writing(per_example):
            write_examples(per_example, next(iter(scorer.examples.values())))
    if previous is None:  # also where a resumed run has selected another checkpoint
        write_final_samples(run, trainer, folder)
    write_nearest_pairs(run, trainer, scorer, folder)
    return save(scorer), folder / RECORD


def main(args: list[str]) -> None:
    """Runs the command."""
    given = {arg.split("=")[0] for arg in args}
    if "--baselines" in given:
        from lit_gen.entries.baselines.scored_baselines import main as score_baselines

        found = [score_baselines(args)]
    elif given & {"--samples", "--nats", "--module"}:
        from lit_gen.entries.foreign import main as score_entry_of

        found = [score_entry_of(args)]
    else:
        found = score_checkpoints(args)
    for record in found:
        if record:
            print_record(*record)


def score_checkpoints(args: list[str]) -> list[tuple[Record, Path] | None]:
    """Scores the checkpoints that a command line begins with, one after another.

    Raises:
        UserError: If an option is wrong, or one of several checkpoints is missing or not the only one in a file.
    """
    number = next((i for i, arg in enumerate(args) if arg.startswith("-")), len(args))
    paths, options = args[:number], args[number:]
    if number < 2:
        return [score_checkpoint(args)]
    if any(arg.split("=")[0] == "--per-example" for arg in options):
        raise UserError("--per-example: one file holds the values of one checkpoint; give one checkpoint")
    if missing := [path for path in paths if not Path(path).is_file()]:
        raise UserError(f"no checkpoint {missing[0]}; of several all must exist")
    return [score_checkpoint([path, *options]) for path in dict.fromkeys(paths)]


def score_checkpoint(args: list[str]) -> tuple[Record, Path] | None:
    """Scores the checkpoint that a command line begins with; None if only its usage was asked for."""
    path = path_first(args, USAGE, "which checkpoint? give its path first")
    if path is None:
        return None
    checkpoint = read_checkpoint(path)
    variants, rest = parse(args[1:])
    own = Arguments()
    own.add_argument("--per-example", type=Path)
    options, rest = own.split(rest)
    configure_process(rest)
    run = run_from_checkpoint(checkpoint, rest)
    samplings = sampling_variants(run.model, variants)
    return evaluate(run, run.trainer, path, samplings, args[1:], options["per_example"], as_they_come=True)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
