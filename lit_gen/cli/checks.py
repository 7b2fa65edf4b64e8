"""Checks before a run starts, so that errors appear at once instead of after hours of training."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer

from lit_gen import metrics
from lit_gen.callbacks import EMA, SampleQuality
from lit_gen.checkpoints import DATA, peek
from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule
from lit_gen.data.module import SplitName
from lit_gen.errors import UserError
from lit_gen.metrics import FeatureSpace
from lit_gen.scoring.settings import Scoring

# Precisions that change the type of the weights themselves.
_WHOLLY_OTHER = ("64", "64-true", "16-true", "bf16-true", "transformer-engine", "transformer-engine-float16")
_LINKED = ("shape", "num_levels")
PLURAL = {"image": "images", "text": "text", "audio": "audio"}
"""Plural names of the modalities in messages."""


def check_linked(config: Any) -> None:
    """Validates that the user does not set what is linked from the data, which would be overridden silently.

    Raises:
        UserError: If one of the linked arguments is given.
    """
    given = config["model"].get("init_args") or {}
    for name in _LINKED:
        if given.get(name) is not None:
            raise UserError(f"model: {name} is set by the data; leave it out")


def check_seed(seed: int | bool) -> None:
    """Validates the seed.

    Raises:
        UserError: If it is outside 0..2**32-1.
    """
    if seed is False:
        raise UserError("seed_everything is false, but a record needs the seed; give one, or true for a random one")
    if not 0 <= seed < 2**32:
        raise UserError(f"seed_everything is {seed}; give a whole number from 0 to {2**32 - 1}")


def check_scores(model: GenerativeModule, scoring: Scoring, ema: EMA) -> None:
    """Validates that the final scores can be computed after training.

    Raises:
        UserError: If the model lacks a submodule that is averaged, or the run keeps no average but scores it.
    """
    ema.averaged(model)
    if scoring.weights == "ema" and ema.halflife_examples is None:
        raise UserError("scoring.weights is 'ema', but the run keeps no average; give ema.halflife_examples")


def names_extractor(args: list[str]) -> bool:
    """Whether a command line itself names the feature space, and not only a file that it gives."""
    return any(arg.split("=")[0] == "--quality.extractor" for arg in args)


def check_extractor(extractor: FeatureSpace | None, data: DiscreteDataModule, inherited: bool = False) -> None:
    """Validates that the feature space fits the data.

    Args:
        extractor: The feature space, if there is one.
        data: The data.
        inherited: Whether it comes from a file, which may have been written for other data.

    Raises:
        UserError: If it has no checksum, takes another modality, does not support such data, or is inherited and made
            for grey images where the data are colour images.
    """
    if extractor is None:
        return
    if not re.fullmatch("[0-9a-f]{64}", str(extractor.sha256)):
        raise UserError(
            f"quality.extractor: {type(extractor).__name__}.sha256 is '{extractor.sha256}'; set it to the SHA-256 of"
            " what decides the features, 64 hexadecimal digits"
        )
    if extractor.modality != data.modality:
        known = [getattr(metrics, name) for name in metrics.__all__]
        concrete = [c for c in known if isinstance(c, type) and issubclass(c, FeatureSpace) and c is not FeatureSpace]
        *others, last = sorted(c.__name__ for c in concrete if c.modality == data.modality)
        fitting = f"{', '.join(others)} or {last}" if others else last
        raise UserError(
            f"quality.extractor: {type(extractor).__name__} is for {PLURAL[extractor.modality]}, and the data"
            f" '{data.name}' are {PLURAL[data.modality]}; use {fitting}, or null for no distance"
        )
    if inherited and extractor.grey_only and data.modality == "image" and data.shape[0] == 3:
        name = type(extractor).__name__
        raise UserError(
            f"quality.extractor: {name} of a configuration file is for grey images, and the data '{data.name}' are in"
            " colour; use --quality.extractor=EfficientNetLite0 or Inception, null for no distance, or ask for"
            f" {name} by the same option"
        )
    try:
        extractor.check_data(data.shape, data.num_levels, getattr(data, "sample_rate", None))
    except UserError as error:
        raise UserError(f"quality.extractor: {error}") from error


def check_statistics(quality: SampleQuality) -> None:
    """Validates that the statistics of samples can be computed in the feature space.

    Raises:
        UserError: If one cannot, or two have the same name.
    """
    try:
        metrics.chosen(quality.extractor, quality.statistics)
    except (UserError, TypeError) as error:
        raise UserError(f"quality.statistics: {error}") from error


def check_counts(quality: SampleQuality, scoring: Scoring, data: DiscreteDataModule, device: str | None = None) -> None:
    """Validates that there are enough samples and reference examples for each statistic, as for its neighbours.

    Args:
        quality: The scores of samples.
        scoring: Options of the final scores.
        data: Data that have been read.
        device: Type of the device that trains; None for no training.

    Raises:
        UserError: There are too few for one of them.
    """
    space = quality.extractor
    splits: list[tuple[SplitName, int]] = [(scoring.split, scoring.num_samples)]
    if device is not None and quality.is_on(device):
        splits.append(("val", quality.num_samples))
    for factory in metrics.chosen(space, quality.statistics):
        assert space is not None
        for split, num_samples in splits:
            try:
                statistic = metrics.build(factory, space, num_samples)
                own = statistic.reference_split or split
                if statistic.uses_reference:
                    statistic.check_counts(len(data.split(own).x))
            except UserError as error:
                where = f"{own} split: " if "reference examples" in str(error) else ""
                raise UserError(f"quality.statistics: {where}{error}") from error


def device_type(config: Any) -> str:
    """Type of the device that a Trainer with these options trains on, ``cpu`` or ``gpu``."""
    if config["accelerator"] != "auto":
        return "cpu" if config["accelerator"] == "cpu" else "gpu"
    return "gpu" if torch.cuda.is_available() or torch.backends.mps.is_available() else "cpu"


def check_trainer_options(config: Any, model: LightningModule) -> None:
    """Validates options of the Trainer that Lightning would reject only during training.

    Raises:
        UserError: If an option is not supported.
    """
    if config["check_val_every_n_epoch"] == 0:
        raise UserError("trainer.check_val_every_n_epoch is 0; give at least 1")
    for option in ("min_epochs", "min_steps"):
        if config[option]:
            raise UserError(
                f"trainer.{option} is {config[option]}, but the budget in examples ends a run, whatever the number of"
                " epochs and steps; leave it out and raise budget.max_examples"
            )
    if str(config["precision"]) in _WHOLLY_OTHER:
        raise UserError(
            f"trainer.precision is {config['precision']}, but models take float32 inputs; use bf16-mixed or 16-mixed"
        )
    if model.automatic_optimization:
        if config["gradient_clip_val"] and str(config["precision"]) in ("16", "16-mixed"):
            raise UserError(
                "trainer.gradient_clip_val: fused optimizers do not clip the scaled gradients of float16 correctly;"
                " use trainer.precision=bf16-mixed, or leave clipping out"
            )
        return
    own = getattr(model, "own_options", {})
    for option, off in (("gradient_clip_val", (None, 0)), ("accumulate_grad_batches", (1,))):
        if config[option] not in off:
            instead = f"use model.{own[option]}" if option in own else "see --model.help for options of its own"
            raise UserError(
                f"trainer.{option} supports one optimizer, but {type(model).__name__} has several; leave it out and"
                f" {instead}"
            )


def check_shares(data: DiscreteDataModule, processes: int) -> None:
    """Validates that the training data can be divided among the processes, before any of them is started.

    Raises:
        UserError: If the batch size does not divide.
    """
    data.train_loader(shuffle=True, world_size=processes)


def check_same_data(data: DiscreteDataModule, checkpoint: Path | None) -> None:
    """Validates that a run is continued on the data that it was trained on.

    Raises:
        UserError: If the training or validation examples are others.
    """
    before: dict[str, str] = peek(checkpoint).get(DATA, {}) if checkpoint is not None else {}
    splits: tuple[SplitName, ...] = ("train", "val")
    for split in splits:
        if split in before and data.identity(split) != before[split]:
            raise UserError(
                f"data: the {split} split of '{data.name}' is not that of '{before['name']}' with which the run was"
                f" trained, so it cannot continue; to start a new one from its weights: --weights={checkpoint}"
            )


def processes(config: Any) -> int:
    """Number of processes that a Trainer with these options runs."""
    devices, nodes = config["devices"], config["num_nodes"]
    listed = str(devices).split(",") if isinstance(devices, str) and "," in devices else devices
    if isinstance(listed, list | tuple):
        count = len([device for device in listed if str(device).strip()])
    elif str(listed).isdigit():
        count = int(listed)
    else:  # "auto", -1: all there are
        count = max(1, torch.cuda.device_count()) if config["accelerator"] in ("auto", "gpu", "cuda") else 1
    return max(1, count * nodes)


def rejected_in_one_line(build: Callable[[], Trainer]) -> Trainer:
    """Builds a Trainer; errors of Lightning become one-line user errors.

    Raises:
        UserError: If Lightning rejects an option.
    """
    try:
        return build()
    except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
        raise UserError(f"trainer: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """An exception's message without its line breaks."""
    return " ".join(str(error).split())
