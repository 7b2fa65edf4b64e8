"""Checks of the sizes of the splits, which a standard error or a distance would notice only after training."""

from __future__ import annotations

from lit_gen.data import DiscreteDataModule, HeldOut, NamedSplits
from lit_gen.data.module import SPLITS, SplitName
from lit_gen.data.sequences import SequenceDataModule
from lit_gen.errors import UserError
from lit_gen.scoring.likelihood_scores import scored_parts
from lit_gen.scoring.settings import Scoring

_FEWEST = 2  # a standard error needs two independent examples, and so does a covariance of features


def check_sizes(data: DiscreteDataModule, scoring: Scoring) -> None:
    """Validates that each split has two examples, and that those to be scored are of two groups.

    Args:
        data: Data that have been read.
        scoring: Options that choose the scored split and examples.

    Raises:
        UserError: If a split is too small; the message names the option to change.
    """
    for name in SPLITS:
        if (number := len(data.split(name).x)) < _FEWEST:
            what = "window" if isinstance(data, SequenceDataModule) else "example"
            raise UserError(
                f"data: split '{name}' of '{data.name}' has {number} {what}, and scores need at least {_FEWEST};"
                f" {_remedy(data, name)}"
            )
    for part in scored_parts(data, scoring):
        split = data.split(part.split)
        if split.group is None:
            continue
        group = split.group if part.rows is None else split.group[part.rows]
        if len(group.unique()) < _FEWEST:
            remedy = "raise scoring.max_examples" if part.rows is not None else _remedy(data, part.split)
            raise UserError(
                f"data: the {len(group)} {part.split} examples of '{data.name}' to be scored are of one"
                f" {split.group_name}, and a standard error needs at least {_FEWEST}; {remedy}"
            )


def _remedy(data: DiscreteDataModule, name: SplitName) -> str:
    """What makes a split larger."""
    steps = []
    splits = getattr(data, "splits", None)
    if isinstance(splits, HeldOut):
        named = isinstance(splits, NamedSplits) and splits.names()[name] is not None
        if name == "train":
            steps.append("lower data.splits.num_val or data.splits.num_test")
        elif not named:
            steps.append(f"raise data.splits.num_{name} (now {getattr(splits, f'num_{name}')})")
    if isinstance(data, SequenceDataModule):
        steps.append("lower data.length")
    return ", or ".join([*steps, "give it more data"])
