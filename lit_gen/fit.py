"""``python -m lit_gen.fit --config FILE``: trains, scores in a fresh Trainer, writes the run's record."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import threading
from pathlib import Path

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from lit_gen.callbacks import BestCheckpoint, Budget, ProgressBar, Throughput
from lit_gen.callbacks.compile import CompileError, compile_error
from lit_gen.callbacks.kept_files import remove_unkept
from lit_gen.callbacks.throughput import peak_memory_bytes
from lit_gen.cli.build import run_from_args
from lit_gen.cli.checks import one_line
from lit_gen.cli.fit_help import START, is_short_help, names_a_run, short_help, without_value
from lit_gen.cli.process import configure_process, run_command
from lit_gen.cli.run_folder import remove_run_folder
from lit_gen.errors import RUNS_OPTION, UserError, print_warning, writing
from lit_gen.evaluate import evaluate
from lit_gen.leaderboard.page import page_of, write_text
from lit_gen.records.atomic import write_atomically
from lit_gen.records.record import Record
from lit_gen.records.score import Score
from lit_gen.runs import tracking
from lit_gen.runs.checkpoint_file import remove_leftovers
from lit_gen.runs.provenance import environment, git_commit, now
from lit_gen.runs.record_files import NOTES
from lit_gen.runs.run import Run
from lit_gen.runs.summary import print_record
from lit_gen.scoring.sample_scores import short_count
from lit_gen.stopping.ends import ended_in_one_line
from lit_gen.stopping.processes import PROCESSES, is_first_process
from lit_gen.stopping.requests import REQUESTS
from lit_gen.stopping.stops import StoppedError, advice
from lit_gen.stopping.trainers import take_over


def train(run: Run) -> Path:
    """Trains, and records what training took.

    Returns:
        Path of the selected checkpoint.

    Raises:
        Stop: If a signal stopped the run; a checkpoint to resume from is written.
        FileError: If a checkpoint cannot be written.
        UserError: If Lightning rejects an option, the loss is not finite, a network cannot be compiled, or nothing was
            trained.
    """
    trainer = run.trainer
    if run.folder is not None and trainer.is_global_zero:
        remove_leftovers(run.folder, run.checkpoint)
    try:
        trainer.fit(run.model, run.data, ckpt_path=run.checkpoint, weights_only=True)
    except FloatingPointError as error:
        raise DivergedError(str(error)) from error
    except RuntimeError as error:
        if (uncompilable := compile_error(error)) is None:
            raise
        raise uncompilable from error
    except (MisconfigurationException, ValueError) as error:
        # Before the first step, errors come from invalid options; after it, a ValueError is a bug.
        if isinstance(error, ValueError) and trainer.fit_loop.epoch_loop.batch_progress.total.ready:
            raise
        raise UserError(f"training: {one_line(error)}") from error
    checkpoint = _checkpoint_callback(run)
    path = Path(checkpoint.best_model_path or checkpoint.last_model_path)
    if not path.is_file():
        raise UserError("nothing was trained: the budget or the Trainer's limits allow no batch")
    if trainer.global_step == 0:
        raise UserError(
            f"nothing was trained: no optimizer step was taken in {_examples_seen(trainer):,} examples; raise"
            " budget.max_examples or the Trainer's limits"
        )
    if trainer.is_global_zero:
        _write_notes(run, checkpoint, path)
    trainer.strategy.barrier("training notes")
    PROCESSES.advice = lambda: advice(run.folder, trained=path)
    REQUESTS.release()
    return path


def _examples_seen(trainer: Trainer) -> int:
    return next(c for c in trainer.callbacks if isinstance(c, Budget)).examples_seen  # type: ignore[attr-defined]


def _checkpoint_callback(run: Run) -> BestCheckpoint:
    return next(c for c in run.trainer.callbacks if isinstance(c, BestCheckpoint))  # type: ignore[attr-defined]


def _write_notes(run: Run, checkpoint: BestCheckpoint, path: Path) -> None:
    """Writes ``training.json``, for records: training costs, environment, data and checkpoint selection."""
    trainer = run.trainer
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    notes = {
        "examples_seen": _examples_seen(trainer),
        "train_seconds": (clock := next(c for c in callbacks if isinstance(c, Throughput))).train_seconds,
        "flops_per_training_example": clock.flops_per_example,
        "peak_memory_bytes": peak_memory_bytes(trainer.strategy.root_device),
        "environment": dataclasses.asdict(environment(trainer)),
        "git_commit": git_commit(),
        "created": now(),
        "train_hash": run.data.identity("train"),
        "selection": checkpoint.selection(trainer, path),
    }
    file = Path(trainer.default_root_dir) / NOTES
    with writing(file, RUNS_OPTION):
        write_atomically(file, json.dumps(notes, indent=1) + "\n")


def scoring_trainer(run: Run) -> Trainer:
    """A fresh Trainer on the same devices, without loggers, checkpoints and the training's callbacks."""
    trainer, config = run.trainer, run.trainer_options
    shown = trainer.progress_bar_callback is not None
    return take_over(Trainer(
        # In the user's own terms: with an accelerator object, Lightning would use the GPU's autocast.
        accelerator=config["accelerator"],
        strategy="auto" if trainer.world_size == 1 else "ddp",
        devices=config["devices"],  # device indices, whereas num_devices is a count
        num_nodes=trainer.num_nodes,
        precision=trainer.precision,
        default_root_dir=trainer.default_root_dir,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=shown,
        callbacks=[ProgressBar()] if shown else [],
        inference_mode=False,
        use_distributed_sampler=False,
    ))


def publish(run: Run, record: Record, path: Path) -> None:
    """Prints the scores, fills W&B's summary, and writes the leaderboard page of all runs in the root folder."""
    print_record(record, path)
    values: dict[str, object] = {_summary_name(score): score.value for score in record.scores}
    if record.selection.metric is not None:
        values[record.selection.metric] = record.selection.value  # the best value, where W&B shows the last
    tracking.write_summary(run.trainer.loggers, {**values, "selection": record.selection.rule})
    update_page(path.parent.parent)


def print_next(checkpoint: Path, record: Path) -> None:
    """Prints two commands that may come next, with paths to be copied."""
    kept = _short(checkpoint)
    commands = [f"lit-gen sample {kept} --n 64", f"lit-gen evaluate {kept} --scoring.num_samples=10000"]
    if not checkpoint.is_file():  # the user keeps none
        commands = [f"lit-gen leaderboard {_short(record.parents[1])}", f"lit-gen verify {_short(record.parent)}"]
    for command in commands:
        print(f"{'next':<12} {command}")


def _short(path: Path) -> str:
    """A path from the current folder on, if it is below, quoted for a shell."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def update_page(root: Path, seconds: float = 1.0) -> None:
    """Writes the leaderboard page of all runs in a folder; prints its path, or a warning.

    The page of many runs takes long, and it can be written at any time by a command of its own: neither a failure
    nor the time that it takes may hold up a run that is finished.

    Args:
        root: The folder.
        seconds: Time after which the page is given up.
    """
    page = root / "leaderboard.html"
    outcome: list[tuple[str, list[str]] | Exception] = []

    def build() -> None:
        try:
            outcome.append(page_of(root))
        except Exception as error:
            outcome.append(error)

    # The thread writes no file: at the end of the process it is stopped wherever it is.
    thread = threading.Thread(target=build, daemon=True)
    thread.start()
    thread.join(seconds)
    found = outcome[0] if outcome else TimeoutError(f"it takes longer than {seconds:g} s")
    if not isinstance(found, Exception):
        try:
            write_text(found[0], page)
        except UserError as error:
            found = error
    if isinstance(found, Exception):
        print_warning(f"{page} is not updated ({one_line(found)}); 'lit-gen leaderboard {root} --html {page}' does it")
        return
    for complaint in found[1]:
        sys.stderr.write(f"{complaint}\n")
    print(f"{'leaderboard':<12} {page}")


def _summary_name(score: Score) -> str:
    """Name of a score in W&B: split, or ``samples`` without one, metric, and the number of samples if any."""
    count = f"_{short_count(score.protocol.num_samples)}" if score.protocol.num_samples else ""
    return f"{score.protocol.split or 'samples'}/{score.name}{count}"


def main(args: list[str]) -> None:
    """Runs the command."""
    if is_short_help(args):
        print(short_help(), end="")
        return
    if not names_a_run(args) and "--help=all" not in args:
        sys.stderr.write(START)
        raise UserError("fit: no model and no data are given; give a recipe with --config")
    args = without_value(args)
    configure_process(args)
    run = run_from_args(args)
    if run.trainer_options["fast_dev_run"]:
        run.trainer.fit(run.model, run.data)
        return
    train_and_score(run)


def train_and_score(run: Run) -> tuple[Path, Record, Path] | None:
    """Trains, scores, publishes the scores and removes the checkpoints that are not kept.

    Returns:
        The selected checkpoint, the record, and the record's path; None on all processes but the first.

    Raises:
        UserError: As :func:`train`, or if the run was stopped.
    """
    PROCESSES.advice = lambda: advice(run.folder, resumed=run.checkpoint)
    try:
        return _train_and_score(run)
    except UserError as error:
        untrained = isinstance(error, StoppedError | CompileError) or not _has_trained(run.trainer)
        if untrained and not run.resumed and run.folder is not None and is_first_process():
            _discard_if_untrained(run.folder)
        raise


def _train_and_score(run: Run) -> tuple[Path, Record, Path] | None:
    failed = True
    try:
        with ended_in_one_line():
            path = train(run)
            found = evaluate(run, scoring_trainer(run), path)
            if found:
                publish(run, *found)
                remove_unkept(path.parent, _checkpoint_callback(run).keep, path)
                print_next(path, found[1])
        failed = False
    finally:
        tracking.finish(run.trainer.loggers, int(failed))
    return (path, *found) if found else None


def _discard_if_untrained(folder: Path) -> None:
    """Removes the folder of a run that ended before its first step: the same command needs its name."""
    if not any(folder.rglob("*.ckpt")):
        remove_run_folder(folder)


def _has_trained(trainer: Trainer) -> bool:
    return trainer.fit_loop.epoch_loop.batch_progress.total.ready > 0


class DivergedError(UserError):
    """The loss is not finite, although the options were valid."""

    exit_code = 1


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
