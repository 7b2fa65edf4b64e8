"""Draws samples from a checkpoint, from the options to the files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_gen import families
from lit_gen.checkpoints import DATA, read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.checks import PLURAL
from lit_gen.cli.process import configure_process
from lit_gen.contract import GenerativeModule, SamplingOptions
from lit_gen.data import DiscreteDataModule
from lit_gen.data.text import TextDataModule
from lit_gen.errors import UserError
from lit_gen.runs.record_files import run_folder_of
from lit_gen.runs.run import Run
from lit_gen.runs.weights import check_finite, load_weights
from lit_gen.sample.completion import Completes
from lit_gen.sample.continuation import encoded, write_sound, write_text
from lit_gen.sample.density_field import DensityField
from lit_gen.sample.field import ScoreField
from lit_gen.sample.image_rows import write_pictures
from lit_gen.sample.latents import Latents
from lit_gen.sample.options import SUFFIXES, Options, of_class
from lit_gen.sample.walks import check_walks


def draw(path: Path, options: Options, rest: list[str]) -> None:
    """Draws the requested samples, and prints the path.

    Args:
        path: Path of the checkpoint.
        options: The command's own options.
        rest: Options of ``lit_gen.fit``.
    """
    checkpoint = read_checkpoint(path)
    usual = run_folder_of(path) / "samples" / f"{path.stem}-{options.name}"
    check_place(options.out or usual)
    configure_process(rest)
    # One device, whatever the run used: drawing is not distributed.
    run = _built(checkpoint, options, ["--trainer.devices=1", "--quality.extractor=null", *rest])
    data, options = run.data, of_class(options, checkpoint.get(DATA, {}).get("class_names", []))
    check_modality(data, options)
    check_model(run.model, options, data.modality)
    check_rows(data, options)
    file = options.out or usual.with_name(usual.name + SUFFIXES[data.modality])
    sampling = sampling_with(run.model, options)
    load_weights(run, checkpoint, run.scoring.weights)
    check_finite(run.model, path)
    run.model.to(run.trainer.strategy.root_device).eval()
    write = {"image": write_pictures, "text": write_text, "audio": write_sound}[data.modality]
    with run.model.sampled_by(sampling):
        write(run, options, file)


def _built(checkpoint: dict[str, Any], options: Options, rest: list[str]) -> Run:
    """The model and its data module, which reads the data only for pictures of them."""
    if options.interpolate or options.complete or options.nearest or options.invert or options.field:
        return run_from_checkpoint(checkpoint, rest)
    return built_for_samples(checkpoint, rest)


def built_for_samples(checkpoint: dict[str, Any], rest: Sequence[str], allow: Sequence[str] = ()) -> Run:
    """The model of a checkpoint and its data module, without reading the data.

    The characters of text, which its samples are written with, are in the checkpoint.

    Args:
        checkpoint: Content of the checkpoint.
        rest: Options of ``lit_gen.fit``.
        allow: Further packages whose classes the checkpoint's configuration may name.
    """
    symbols = checkpoint.get(DATA, {}).get("symbols")
    if symbols is not None:
        rest = [f"--data.init_args.num_levels={len(symbols)}", *rest]
    run = run_from_checkpoint(checkpoint, rest, purpose="sample", allow=allow)
    if symbols is not None and isinstance(run.data, TextDataModule):
        run.data.use_symbols(symbols)
    return run


def sampling_with(model: GenerativeModule, options: Options) -> SamplingOptions:
    """The model's sampling options, overridden by those of the command line.

    Raises:
        UserError: If the model has no such option, or does not support it.
    """
    asked = {
        "sampler": options.sampler,
        "steps": options.sampler_steps,
        "guidance": options.guidance,
        "temperature": options.temperature,
        "truncation": options.truncation,
    }
    return model.sampling_with(**{name: value for name, value in asked.items() if value is not None})


# ------------------------------------------------------------------ validation


def check_place(file: Path) -> None:
    """Validates that a file could be written, before samples are drawn; creates nothing.

    Raises:
        UserError: If a part of the path prevents it.
    """
    there = next(folder for folder in file.absolute().parents if folder.exists())
    if file.is_dir() or not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"cannot write {file}: see {file if file.is_dir() else there}; give a file with --out")


def check_modality(data: DiscreteDataModule, options: Options) -> None:
    """Validates the options for data of this modality.

    Raises:
        UserError: If an option is for another modality, or a file or prompt does not fit the data.
    """
    pictures = ("interpolate", "nearest", "walk", "traverse", "invert", "classes")
    for name, modality in (*((name, "image") for name in pictures), ("prompt", "text")):
        if getattr(options, name) and data.modality != modality:
            raise UserError(
                f"--{name} is for {PLURAL[modality]}, and the data '{data.name}' are {PLURAL[data.modality]};"
                " leave it out"
            )
    suffix = SUFFIXES[data.modality]
    if options.out is not None and options.out.suffix.lower() != suffix:
        written = f"{suffix}, the format of {PLURAL[data.modality]}"
        raise UserError(f"--out: {options.out} does not end in {written}")
    if options.prompt:
        encoded(options.prompt, data)


def check_model(model: GenerativeModule, options: Options, modality: str = "image") -> None:
    """Validates the options for this model.

    Raises:
        UserError: If its samples are not images, text or audio, or it cannot complete or interpolate.
    """
    name = type(model).__name__
    if (options.complete or options.prompt) and not isinstance(model, Completes):
        raise UserError(f"{name} cannot complete examples; these can: {those_with(Completes)}")
    model.check_label(options.class_number)
    if options.field:
        if not isinstance(model, ScoreField | DensityField) or math.prod(model.shape) != 2:
            raise UserError(
                f"--field is for models of the score or the density of two-dimensional data, not {name} of shape"
                f" {model.shape}; these can, on lit_gen.data.Toy2D: diffusion models ({those_with(ScoreField)}), and"
                " flows of vectors, such as MLPSplineFlow"
            )
    elif modality == "image" and (len(model.shape) != 3 or model.shape[0] not in (1, 3)):
        raise UserError(
            f"the samples of this {name} have shape {model.shape}, but only grey and colour images [1 or 3, H, W]"
            " can be drawn"
        )
    if (options.interpolate or options.invert) and not isinstance(model, Latents):
        asked = "reconstruct" if options.invert else "interpolate"
        raise UserError(f"{name} finds no latents of images, so it cannot {asked}; these can: {those_with(Latents)}")
    check_walks(model, options)


def those_with(ability: type) -> str:
    """Names of the families with an ability."""
    return ", ".join(sorted(name for name in families.__all__ if issubclass(getattr(families, name), ability)))


def check_rows(data: DiscreteDataModule, options: Options) -> None:
    """Validates that the split has the requested rows.

    Raises:
        UserError: If a row is out of range.
    """
    asked: list[tuple[str, tuple[int, ...]]] = [("interpolate", pair) for pair in options.interpolate]
    asked += [(name, getattr(options, name)) for name in ("complete", "invert") if getattr(options, name)]
    for option, rows in asked:
        last = len(data.split(options.split).x) - 1
        if not all(0 <= row <= last for row in rows):
            noun = "images" if data.modality == "image" else "windows"
            raise UserError(f"--{option} {' '.join(map(str, rows))}: the {options.split} split has {noun} 0..{last}")
