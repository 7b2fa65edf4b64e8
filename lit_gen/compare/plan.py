"""What a comparison runs: a model of each family, its size and budget, and its seeds."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_gen.compare.ladders import Candidate, ladder
from lit_gen.compare.measure import Measured, built, measured
from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.records.atomic import write_atomically
from lit_gen.scoring.sample_scores import as_seen

VALIDATIONS = 8
START_UP = 15.0
"""Seconds in which a run starts and reads its data."""
FEWEST_EXAMPLES, MOST_EXAMPLES, EPOCHS = 20_000, 300_000, 10
"""A larger model is taken as long as its budget is ten epochs, or these numbers of examples at least and at most."""
_SAMPLES = (1000, 500, 250, 100)
_SHARE_OF_SCORES = 0.25  # of a run's time


@dataclasses.dataclass(frozen=True)
class Choice:
    """A family's model.

    Attributes:
        family: The family.
        name: What the model is.
        options: Its options of ``lit_gen.fit``.
        batch_size: Number of examples in a batch.
        examples: Number of training examples of each run.
        seconds: Predicted seconds of each run.
        parameters: Number of parameters.
    """

    family: str
    name: str
    options: tuple[str, ...]
    batch_size: int
    examples: int
    seconds: float
    parameters: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """A comparison.

    Attributes:
        data: Options of the data, and those that the user gave for all runs.
        minutes: Time of all runs together.
        seeds: Number of runs of each family.
        num_samples: Number of samples that are scored.
        choices: The models.
    """

    data: tuple[str, ...]
    minutes: float
    seeds: int
    num_samples: int
    choices: tuple[Choice, ...]

    def write(self, path: Path) -> None:
        """Writes the plan as JSON."""
        write_atomically(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    def command(self, choice: Choice, seed: int, folder: Path) -> list[str]:
        """Options of ``lit_gen.fit`` for a run."""
        batches = math.ceil(choice.examples / choice.batch_size)
        halflife = max(5 * choice.batch_size, choice.examples // 40)
        return [
            *self.data,
            *choice.options,
            f"--data.batch_size={choice.batch_size}",
            f"--budget.max_examples={choice.examples}",
            f"--ema.halflife_examples={halflife}",
            f"--schedule.warmup_examples={choice.examples // 25}",
            "--schedule.decay=lit_gen.optim.CosineDecay",
            "--schedule.decay.final=0.02",
            "--trainer.check_val_every_n_epoch=null",
            f"--trainer.val_check_interval={max(1, math.ceil(batches / VALIDATIONS))}",
            _during_training(choice.family),
            f"--quality.num_samples={max(100, self.num_samples // 4)}",
            f"--scoring.num_samples={self.num_samples}",
            f"--seed_everything={seed}",
            f"--run_name={choice.family}-{seed}",
            f"--trainer.default_root_dir={folder}",
        ]


def read_plan(path: Path) -> Plan:
    """Reads a plan that :meth:`Plan.write` wrote.

    Raises:
        UserError: If it is damaged.
    """
    try:
        tree: dict[str, Any] = json.loads(path.read_text())
        choices = tuple(Choice(**{**one, "options": tuple(one["options"])}) for one in tree.pop("choices"))
        return Plan(**{**tree, "data": tuple(tree["data"]), "choices": choices})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); remove it to plan again") from error


def make_plan(data: Sequence[str], minutes: float, seeds: int, families: Sequence[str]) -> Plan:
    """Measures models of each family and chooses the largest whose training fits the time.

    Args:
        data: Options of the data.
        minutes: Time of all runs together.
        seeds: Number of runs of each family.
        families: The families.

    Raises:
        UserError: If the data cannot be read, or the time is too short.
    """
    first = ["--model=lit_gen.families.VAE", "--model.nets=lit_gen.nets.MLPNets", _during_training("vae")]
    probe = built([*data, *first])
    module = probe.data
    possible = [family for family in families if ladder(family, module.modality, module.shape)]
    for family in families:
        if family not in possible:
            _say(f"left out: {family}: lit_gen has no model of this family for {module.modality}")
    if not possible:
        raise UserError(f"--families: none of {', '.join(families)} has a model for {module.modality}")
    seconds = 60 * minutes / (len(possible) * seeds)
    count = _samples_within(module, probe.quality.extractor, _SHARE_OF_SCORES * seconds)
    own = [*data, f"--scoring.num_samples={count}", f"--quality.num_samples={max(100, count // 4)}"]
    choices = [_chosen(family, own, module, seconds) for family in possible]
    found = tuple(choice for choice in choices if choice is not None)
    if not found:
        raise UserError(f"--minutes={minutes:g} is too short for {len(possible) * seeds} runs on these data; give more")
    return Plan(tuple(data), minutes, seeds, count, found)


def _chosen(family: str, data: Sequence[str], module: DiscreteDataModule, seconds: float) -> Choice | None:
    """The largest model of a family that sees enough examples in the time; None if even the smallest has no time."""
    best: Choice | None = None
    wanted = min(max(EPOCHS * len(module.split("train").x), FEWEST_EXAMPLES), MOST_EXAMPLES)
    for candidate in ladder(family, module.modality, module.shape):
        try:
            own = [f"--data.batch_size={candidate.batch_size}", _during_training(family)]
            times = measured(built([*data, *candidate.options, *own], module))
        except UserError as error:
            _say(f"{family}: {candidate.name}: not taken: {error}")
            break
        choice = _within(candidate, family, times, seconds)
        enough = choice is not None and (choice.examples >= wanted or best is None)
        _say(_line(family, candidate, times, choice if enough else None))
        if not enough:
            break
        best = choice
        assert choice is not None
        if choice.examples < wanted:  # the smallest, which has to do
            break
    if best is None:
        _say(f"left out: {family}: {seconds:.0f} s for each run are too short; raise --minutes")
    return best


def _during_training(family: str) -> str:
    """Option by which only a GAN, which has no likelihood, chooses its best checkpoint by scores of samples."""
    return f"--quality.during_training={'true' if family == 'gan' else 'false'}"


def _within(candidate: Candidate, family: str, times: Measured, seconds: float) -> Choice | None:
    examples = times.examples_within(seconds - START_UP, VALIDATIONS + 1)
    if examples < 20 * candidate.batch_size:
        return None
    examples = min(examples, 10**9)
    total = START_UP + times.training(examples, VALIDATIONS + 1)
    return Choice(family, candidate.name, candidate.options, candidate.batch_size, examples, total, times.parameters)


def _line(family: str, candidate: Candidate, times: Measured, choice: Choice | None) -> str:
    rate = f"{family}: {candidate.name}: {1 / times.per_example:,.0f} examples/s"
    return f"{rate}, {choice.examples:,} in the time" if choice else f"{rate}, too slow"


def _samples_within(module: DiscreteDataModule, extractor: Any, seconds: float) -> int:
    """Number of samples whose features, with those of as many real examples, take at most so many seconds."""
    if extractor is None:
        return _SAMPLES[0]
    x = module.split("train").x[:16]
    seen = as_seen(x, module.num_levels, extractor)
    extractor(seen[:2])
    begin = time.perf_counter()
    extractor(seen)
    each = (time.perf_counter() - begin) / len(seen)
    return next((count for count in _SAMPLES if 2 * count * each <= seconds), _SAMPLES[-1])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
