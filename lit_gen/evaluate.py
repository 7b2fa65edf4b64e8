"""``python -m lit_gen.evaluate CHECKPOINT``: scores a checkpoint under a protocol and writes its record."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L

from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.process import configure_process, run_command
from lit_gen.cli.sampling_options import parse
from lit_gen.errors import UserError
from lit_gen.media.sample_files import can_show, write_samples
from lit_gen.records.record import Record
from lit_gen.runs.results import FINAL, RECORD, final_samples, make_record, previous_record, record_dir, save_record
from lit_gen.runs.run import Run
from lit_gen.runs.summary import print_record
from lit_gen.runs.weights import check_finite, load_weights
from lit_gen.scoring.scorer import Scorer, scored_rows
from lit_gen.scoring.settings import Scoring
from lit_gen.scoring.variants import sampling_variants

USAGE = """usage: python -m lit_gen.evaluate CHECKPOINT [--scoring.OPTION=VALUE ...] [--SECTION.OPTION=VALUE ...]
                                  [--sampler NAME ...] [--steps N ...] [--guidance G ...]

Scores a checkpoint in a fresh Trainer and writes record.json into its run's folder. The configuration is the one
the checkpoint carries; any option of lit_gen.fit overrides it, as in

  python -m lit_gen.evaluate runs/vae-digits-.../checkpoints/best.ckpt --scoring.estimator=iwae --scoring.draws=5000
  python -m lit_gen.evaluate CHECKPOINT --quality.extractor=Inception --scoring.num_samples=50000

options of the protocol:
  --scoring.split=test|val        what is scored, and what samples are compared with
  --scoring.num_samples=N         number of samples that are scored
  --scoring.estimator=NAME        one of the family's likelihood estimators, such as elbo or iwae
  --scoring.draws=K               draws an example
  --scoring.max_examples=N        examples whose likelihood is taken, where all would take too long
  --scoring.weights=auto|ema|raw  which weights
  --scoring.seed=SEED             names the scores' noise
  --quality.extractor=CLASS       the feature space, of the data's modality
  --quality.statistics+=CLASS     a further statistic of its features, such as KID

samples drawn in other ways, each combination scored and added to the record; likelihoods, which do
not depend on them, are left as they are:
  --sampler NAME ...              of a diffusion model, such as ddim
  --steps N ...                   of the sampler
  --guidance G ...                of a model with classes: 1 for none
  --temperature T ...             of a flow or an autoregressive model

  python -m lit_gen.evaluate CHECKPOINT --sampler ddim dpmpp_2m --steps 10 20 50 250 1000

All options: python -m lit_gen.fit --help"""


class _OneSplit(L.LightningDataModule):
    """Shows a Trainer what is scored as its test set: one split of the data, or some of it."""

    def __init__(self, data: Any, scoring: Scoring) -> None:
        super().__init__()
        self.data, self.scoring = data, scoring
        self.name = data.name
        self.split = data.split

    def test_dataloader(self) -> Any:
        self.data.trainer = self.trainer
        return self.data.eval_loader(self.scoring.split, scored_rows(self.data, self.scoring))


def score(
    run: Run, trainer: L.Trainer, path: Path, checkpoint: dict[str, Any], samplings: Sequence[Any] = ()
) -> Scorer:
    """Scores a checkpoint with a fresh Trainer; returns the scorer, full. For the samplings see :class:`Scorer`."""
    scoring = run.scoring
    weights, halflife = load_weights(run, checkpoint, scoring.weights)
    check_finite(run.model, path)
    scorer = Scorer(
        run.data, scoring, run.quality.extractor, run.quality.statistics, weights, halflife, samplings
    )
    trainer.callbacks.append(scorer)  # type: ignore[attr-defined]
    trainer.test(run.model, datamodule=_OneSplit(run.data, scoring), verbose=False)
    return scorer


def write_final_samples(run: Run, trainer: L.Trainer, home: Path) -> None:
    """Draws samples of the scored weights, in the arithmetic they were scored in; those drawn before are removed."""
    for old in final_samples(home).values():
        old.unlink()
    data, grid = run.data, run.grid
    if (n := grid.count(data)) and can_show(run.model.shape, data):
        with trainer.precision_plugin.forward_context():
            x = run.model.sample(n, seed=grid.seed)
        write_samples(x, run.model.num_levels, data, home / FINAL)


def evaluate(
    run: Run, trainer: L.Trainer, path: Path, samplings: Sequence[Any] = ()
) -> tuple[Record, Path] | None:
    """Scores, writes the record and, with a new one, samples; the first process's result, None on the others.

    Args:
        run: The model and data.
        trainer: A fresh one.
        path: The checkpoint.
        samplings: Ways of drawing samples; where there are some, samples alone are scored, in each of them.
    """
    checkpoint = read_checkpoint(path)
    # Before the scores are taken, which may be hours: a record that cannot be read must not cost them.
    home = record_dir(path, checkpoint)
    before = previous_record(home, path, checkpoint)
    scorer = score(run, trainer, path, checkpoint, samplings)
    if not trainer.is_global_zero:
        return None
    if not (home / RECORD).is_file():
        write_final_samples(run, trainer, home)
    record = make_record(run, trainer, path, home, scorer, checkpoint, before)
    return save_record(record, home, before), home / RECORD


def main(args: list[str]) -> None:
    """The command."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        if not args:
            raise UserError("which checkpoint? give its path")
        return
    path = Path(args[0])
    checkpoint = read_checkpoint(path)
    variants, rest = parse(args[1:])
    configure_process(rest)
    run = run_from_checkpoint(checkpoint, rest)
    found = evaluate(run, run.trainer, path, sampling_variants(run.model, variants))
    if found:
        print_record(*found)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
