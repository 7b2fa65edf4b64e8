"""The command: finds record and checkpoint, takes the scores again, compares and reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lit_gen.cli.process import configure_process
from lit_gen.errors import UserError, nearest
from lit_gen.leaderboard.printable import printable
from lit_gen.records.record import Record, read_record
from lit_gen.records.score import Score
from lit_gen.runs.provenance import git_commit
from lit_gen.verify.agreement import Comparison
from lit_gen.verify.recorded_options import usable
from lit_gen.verify.report import print_report
from lit_gen.verify.retake import Retaken, retake
from lit_gen.verify.scored_files import CheckpointError, check_sum, checkpoint_file, record_file
from lit_gen.verify.surroundings import (
    Difference,
    data_differences,
    environment_differences,
    in_words,
    nearest_protocol,
    only_data,
)
from lit_gen.verify.verify_options import VerifyOptions

Groups = dict[tuple[str, ...], list[Score]]


def verify(run: Path, options: VerifyOptions, passed: Sequence[str]) -> int:
    """Takes the scores of a record again, and prints how far they agree.

    Args:
        run: A run's folder, the folder of a further evaluation, or a record.
        options: The command's own options.
        passed: Options of ``lit_gen.fit``, which override the recorded ones.

    Returns:
        The exit code: 0 if all scores agree.

    Raises:
        UserError: There is no record, an option is wrong, or no score could be taken again.
        CheckpointError: The checkpoint is missing, or is another one.
    """
    file = record_file(run)
    record = read_record(file)
    groups = _by_arguments(_chosen(record, options.only, file))
    usable_arguments = {arguments: usable(arguments, passed, file) for arguments in groups}
    path = checkpoint_file(file, record)
    notes = _checked(path, record, options)
    configure_process([*passed])
    comparisons: list[Comparison] = []
    differences: list[Difference] = []
    reporting, failures = True, []
    for arguments, recorded in groups.items():
        try:
            taken = retake(path, usable_arguments[arguments], passed, recorded)
        except UserError as error:
            failures.append(error)
            comparisons += [Comparison(score, None, options.tolerance, str(error)) for score in recorded]
            continue
        reporting = taken.reporting
        comparisons += [_compared(score, taken, record, options.tolerance) for score in recorded]
        differences += _surroundings(recorded, taken, record, arguments)
    if len(failures) == len(groups):
        raise failures[0]
    differences += [difference for comparison in comparisons for difference in comparison.data]
    if reporting:
        print_report(record, _in_order(comparisons, record), differences, notes)
    return 0 if all(c.verdict in ("identical", "rounding") for c in comparisons) else 1


def _chosen(record: Record, only: Sequence[str], file: Path) -> list[Score]:
    """The scores with the given names; all of them if none is given.

    Raises:
        UserError: The record has no score of a name, or none at all.
    """
    names = list(dict.fromkeys(score.name for score in record.scores))
    if not names:
        raise UserError(f"{file} holds no score")
    for name in only:
        if name not in names:
            hint = nearest(name, names) or f"; it has {printable(', '.join(names))}"
            raise UserError(f"--only: {file} has no score {name}{hint}")
    return [score for score in record.scores if not only or score.name in only]


def _by_arguments(scores: Sequence[Score]) -> Groups:
    groups: Groups = {}
    for score in scores:
        groups.setdefault(tuple(score.arguments), []).append(score)
    return groups


def _checked(path: Path, record: Record, options: VerifyOptions) -> list[str]:
    """Remarks on the checkpoint.

    Raises:
        CheckpointError: It is not the recorded one, and was not asked for.
    """
    problem = check_sum(path, record)
    if problem is None:
        return []
    if record.selection.checkpoint_sha256 is not None and not options.any_checkpoint:
        raise CheckpointError(f"{problem}; --any-checkpoint scores it all the same")
    return [problem]


def _compared(recorded: Score, taken: Retaken, record: Record, tolerance: float) -> Comparison:
    """A recorded score beside the one of the same protocol, or the reason why there is none."""
    for score in taken.scores:
        if score.protocol.hash == recorded.protocol.hash:
            return Comparison(recorded, score, tolerance)
    found = nearest_protocol(recorded, taken.scores)
    if found and only_data(found):
        data = tuple(data_differences(found))
        return Comparison(recorded, None, tolerance, f"the data differ: {in_words(found)}", data)
    if record.selection.checkpoint_sha256 is None and not recorded.arguments:
        reason = "not verifiable: the record does not say with which options"
    elif found:
        reason = f"the recorded options give another protocol here: {in_words(found)}"
    else:
        reason = "the recorded options give no score of this name here"
    return Comparison(recorded, None, tolerance, reason)


def _surroundings(
    recorded: Sequence[Score], taken: Retaken, record: Record, arguments: Sequence[str]
) -> list[Difference]:
    """What differs between here and where a group of scores was recorded."""
    found: list[Difference] = []
    for score in recorded:
        found += environment_differences(score.scored_with or record.environment, taken.environment)
    here = git_commit()
    # The record holds the commit of the training alone: scores that were taken elsewhere may be of another.
    if here != record.git_commit and any(score.scored_with is None for score in recorded):
        found.append(("git commit", here or "none", record.git_commit or "none"))
    other_data = any(argument.startswith("--data") for argument in arguments)
    if record.train_hash is not None and not other_data and record.train_hash != taken.train_hash:
        found.append(("train hash", taken.train_hash[:12], record.train_hash[:12]))
    return found


def _in_order(comparisons: Sequence[Comparison], record: Record) -> list[Comparison]:
    """Comparisons in the order of the record's scores."""
    place = {score.protocol.hash: i for i, score in enumerate(record.scores)}
    return sorted(comparisons, key=lambda comparison: place[comparison.recorded.protocol.hash])
