"""Checks of what training would notice only after a folder was made, or at its end."""

from __future__ import annotations

import math
from typing import Any

import torch

from lit_gen.callbacks import SampleQuality
from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError, nearest

# Limits of the Trainer with which no batch is trained, by option.
_NOTHING: dict[str, tuple[Any, ...]] = {"max_epochs": (0,), "max_steps": (0,), "limit_train_batches": (0, 0.0)}


def check_numbers(config: Any, where: str = "") -> None:
    """Validates that no number of a configuration is NaN, which passes every comparison with a limit.

    Raises:
        UserError: If one is; the message names the option.
    """
    items = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for key, value in items:
        name = where if key in ("init_args", "dict_kwargs") else f"{where}.{key}" if where else str(key)
        if isinstance(value, float) and math.isnan(value):
            raise UserError(f"{name} is nan; give a number")
        check_numbers(value, name)


# Least values of numbers that Lightning takes as they are.
_LEAST: dict[str, float] = {
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "gradient_clip_val": 0,
    "limit_predict_batches": 0,
    "limit_test_batches": 0,
    "log_every_n_steps": 0,
    "num_sanity_val_steps": -1,
    "reload_dataloaders_every_n_epochs": 0,
}


def check_limits(config: Any) -> None:
    """Validates that the Trainer's limits allow a batch, and numbers that Lightning would take as they are.

    Raises:
        UserError: If one of them is zero or too small.
    """
    for option, least in _LEAST.items():
        if config[option] is not None and not least <= config[option] < math.inf:
            raise UserError(f"trainer.{option} is {config[option]}; give at least {least:g}, and no infinity")
    if config["val_check_interval"] is not None and config["val_check_interval"] == 0:
        raise UserError("trainer.val_check_interval is 0; give a number of batches, or a share of an epoch up to 1.0")
    if str(config["default_root_dir"]) == "":
        raise UserError("trainer.default_root_dir is empty; give a folder, such as runs")
    for option, zero in _NOTHING.items():
        if config[option] is not None and config[option] in zero:
            raise UserError(f"trainer.{option} is {config[option]}, so nothing would be trained; give at least 1")


def check_epoch(config: Any, model: GenerativeModule, data: DiscreteDataModule, max_examples: int) -> None:
    """Validates the data against the model and the length of an epoch and of the run.

    Raises:
        UserError: If the data lack the model's classes, no validation would fit into an epoch, or no step into the
            budget.
    """
    model.check_labels(data)
    loader = data.train_loader(shuffle=True, limit=config["limit_train_batches"] or 1.0)
    every = config["val_check_interval"]
    checked = config["check_val_every_n_epoch"] is not None and config["limit_val_batches"] != 0
    if isinstance(every, int) and checked and every > loader.epoch_length and not config["overfit_batches"]:
        raise UserError(
            f"trainer.val_check_interval is {every}, but an epoch has {loader.epoch_length} batches; give at most that,"
            " or trainer.check_val_every_n_epoch=null to count batches over epochs"
        )
    batches = math.ceil(max_examples / min(data.batch_size, loader.num_examples))
    if batches < model.update_period:
        raise UserError(
            f"budget.max_examples is {max_examples}: {batches} batches, but the generator's first step is after"
            f" {model.update_period}, so nothing would be trained; raise the budget"
        )


def check_monitor(
    monitor: str | None,
    model: GenerativeModule,
    data: DiscreteDataModule,
    quality: SampleQuality,
    own_callbacks: bool,
    device_type: str = "cpu",
) -> None:
    """Validates the score that checkpoints are selected by, if all that is logged is known.

    Args:
        monitor: The option; None for the family's own choice.
        model: The model.
        data: The data.
        quality: The callback that logs scores of samples.
        own_callbacks: Whether there are callbacks of the user's, which may log anything.
        device_type: Type of the device that trains.

    Raises:
        UserError: If no validation logs it.
    """
    hooks = ("validation_step", "on_validation_epoch_end")
    overridden = any(getattr(type(model), hook) is not getattr(GenerativeModule, hook) for hook in hooks)
    known = ["val/bpd", "val/nats"] if model.estimators else []
    on = quality.is_on(device_type)
    if monitor in quality.score_names and not on:
        name = type(quality.extractor).__name__
        why = "is false" if quality.during_training is False else f"is not set, and {name} is slow on a CPU"
        raise UserError(
            f"checkpoint.monitor: '{monitor}' is not computed in validations, since quality.during_training {why};"
            " set it to true"
        )
    known += quality.score_names if on else []
    if monitor is None or monitor in known or own_callbacks or overridden:
        return
    try:
        known += [f"val/{name}" for name in _parts(model, data)]
    except Exception:  # of a model that has not been initialized by data, or needs its Trainer
        return
    if monitor not in known:
        hint = nearest(monitor, known) or f" (there are: {', '.join(sorted(known))})"
        raise UserError(f"checkpoint.monitor: validation logs no '{monitor}'{hint}")


def _parts(model: GenerativeModule, data: DiscreteDataModule) -> list[str]:
    """Names of the parts of the model's likelihood, which one example shows."""
    if not model.estimators:
        return []
    split, training = data.split("val"), model.training
    label = None if split.label is None else split.label[:1]
    with torch.no_grad():
        found = model.eval().estimate((split.x[:1], label, torch.zeros(1, dtype=torch.int64)), model.val_estimation)
    model.train(training)
    return [name for likelihood in found for name in likelihood.parts or {}]
