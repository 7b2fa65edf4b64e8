"""Takes scores again with recorded options; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.sampling_options import parse
from lit_gen.evaluate import score
from lit_gen.records.environment import Environment
from lit_gen.records.score import Score
from lit_gen.runs.provenance import environment
from lit_gen.scoring.variants import sampling_variants

_ONE_PROCESS = ("--trainer.devices=1", "--trainer.num_nodes=1")


@dataclass(frozen=True)
class Retaken:
    """Scores that were taken again.

    Attributes:
        scores: The scores.
        environment: Where they were taken.
        train_hash: sha256 (hex) of the training split here.
        reporting: Whether this process reports; False on all but the first of several.
    """

    scores: Sequence[Score]
    environment: Environment
    train_hash: str
    reporting: bool


def retake(path: Path, arguments: Sequence[str], passed: Sequence[str], wanted: Sequence[Score]) -> Retaken:
    """Scores a checkpoint under recorded options.

    Args:
        path: The checkpoint.
        arguments: The recorded options.
        passed: The user's options, which override them.
        wanted: The recorded scores that were taken with these options. Likelihoods or samples are left out where
            none of them needs any.

    Raises:
        UserError: An option is wrong, the data are missing, or the checkpoint cannot be scored.
    """
    likelihoods = [recorded.protocol.num_samples is None for recorded in wanted]
    without_samples = ["--quality.extractor=null"] if all(likelihoods) else []
    checkpoint = read_checkpoint(path)
    variants, rest = parse([*arguments, *_ONE_PROCESS, *passed, *without_samples])
    run = run_from_checkpoint(checkpoint, rest)
    samplings: list[Any] = sampling_variants(run.model, variants)
    if not samplings and not any(likelihoods):
        samplings = [run.model.sampling]  # the model's own: no likelihood is computed beside a list of samplings
    scorer = score(run, run.trainer, path, checkpoint, samplings)
    return Retaken(
        scores=scorer.scores,
        environment=environment(run.trainer),
        train_hash=run.data.identity("train"),
        reporting=run.trainer.is_global_zero,
    )
