"""Validations of Lightning's training loop: whether one follows, and one that is repeated before training continues."""

from __future__ import annotations

from typing import Any

import lightning as L


def validation_follows(trainer: L.Trainer) -> bool:
    """Whether Lightning validates after the batch that has just ended."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def validate(trainer: L.Trainer) -> None:
    """Runs a validation as Lightning does between two batches.

    A checkpoint to continue from may be from within the last batch: meanwhile that batch counts as complete, as it does
    in a validation of an unbroken run, for the best checkpoint that may be written.
    """
    loop, connector = trainer.fit_loop.epoch_loop, trainer._logger_connector
    first, progress = connector._first_loop_iter, loop.batch_progress.state_dict()
    counts: list[Any] = [loop.batch_progress.total, loop.batch_progress.current]
    within = counts[0].ready - counts[0].completed
    for count in counts:
        count.completed += within
        count.ready = count.started = count.processed = count.completed
    trainer.validating = True
    loop.val_loop.restarting = False
    loop.val_loop.run()
    loop.val_loop._has_run = False  # the training loop, which resumes after a validation, would take this for its own
    trainer.training = True
    loop.batch_progress.load_state_dict(progress)
    connector._first_loop_iter = first
