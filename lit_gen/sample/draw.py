"""A checkpoint's samples, from the options to the files: what is refused, and what is drawn of which modality."""

from __future__ import annotations

import os
from pathlib import Path

from lit_gen import families
from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.checks import PLURAL
from lit_gen.cli.process import configure_process
from lit_gen.contract import GenerativeModule, SamplingOptions
from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.runs.results import run_folder_of
from lit_gen.runs.weights import check_finite, load_weights
from lit_gen.sample.completion import Completes
from lit_gen.sample.continuation import encoded, write_sound, write_text
from lit_gen.sample.image_rows import write_pictures
from lit_gen.sample.latents import Latents
from lit_gen.sample.options import SUFFIXES, Options


def draw(path: Path, options: Options, rest: list[str]) -> None:
    """Draws what is asked for, and prints where it is.

    Args:
        path: The checkpoint.
        options: Of the samples.
        rest: Options of ``lit_gen.fit``.
    """
    checkpoint = read_checkpoint(path)
    usual = run_folder_of(path) / "samples" / f"{path.stem}-{options.name}"
    check_place(options.out or usual)
    configure_process(rest)
    # One device, whatever the run had: a picture is no work to be shared.
    run = run_from_checkpoint(checkpoint, ["--trainer.devices=1", *rest])
    data = run.data
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


def sampling_with(model: GenerativeModule, options: Options) -> SamplingOptions:
    """The model's sampling options with those of the command line.

    Raises:
        UserError: The model has no such option, or cannot be sampled so.
    """
    asked = {
        "sampler": options.sampler,
        "steps": options.sampler_steps,
        "guidance": options.guidance,
        "temperature": options.temperature,
    }
    return model.sampling_with(**{name: value for name, value in asked.items() if value is not None})


# ------------------------------------------------------------------ what is refused


def check_place(file: Path) -> None:
    """Refuses a file that could not be written, before it is drawn; makes nothing.

    Raises:
        UserError: Naming the part of the path that stands in the way.
    """
    there = next(folder for folder in file.absolute().parents if folder.exists())
    if file.is_dir() or not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"cannot write {file}: see {file if file.is_dir() else there}; give a file with --out")


def check_modality(data: DiscreteDataModule, options: Options) -> None:
    """Refuses what cannot be asked for of such data.

    Raises:
        UserError: An option for another modality; a file, or a prompt, that does not suit the data.
    """
    for name, modality in (("interpolate", "image"), ("nearest", "image"), ("prompt", "text")):
        if getattr(options, name) and data.modality != modality:
            raise UserError(
                f"--{name} is for {PLURAL[modality]}, and the data '{data.name}' are {PLURAL[data.modality]};"
                " leave it out"
            )
    suffix = SUFFIXES[data.modality]
    if options.out is not None and options.out.suffix.lower() != suffix:
        written = f"{suffix}, which is what is written of {PLURAL[data.modality]}"
        raise UserError(f"--out: {options.out} does not end in {written}")
    if options.prompt:
        encoded(options.prompt, data)


def check_model(model: GenerativeModule, options: Options, modality: str = "image") -> None:
    """Refuses what this model cannot be asked for.

    Raises:
        UserError: It makes neither images nor text nor audio, or has no latents.
    """
    name = type(model).__name__
    if (options.complete or options.prompt) and not isinstance(model, Completes):
        raise UserError(f"{name} cannot complete what is given; these can: {those_with(Completes)}")
    model.check_label(options.label)
    if modality == "image" and (len(model.shape) != 3 or model.shape[0] not in (1, 3)):
        raise UserError(
            f"the samples of this {name} have shape {model.shape}, and only grey and colour images [1 or 3, H, W]"
            " can be drawn"
        )
    if options.interpolate and not isinstance(model, Latents):
        raise UserError(
            f"{name} has no encoder, so there is no way from one image to another; these have: {those_with(Latents)}"
        )


def those_with(ability: type) -> str:
    """The families that have it, by name."""
    return ", ".join(sorted(name for name in families.__all__ if issubclass(getattr(families, name), ability)))


def check_rows(data: DiscreteDataModule, options: Options) -> None:
    """Refuses rows that the split lacks.

    Raises:
        UserError: With those it has.
    """
    asked: list[tuple[str, tuple[int, ...]]] = [("interpolate", pair) for pair in options.interpolate]
    asked += [("complete", options.complete)] if options.complete else []
    for option, rows in asked:
        last = len(data.split(options.split).x) - 1
        if not all(0 <= row <= last for row in rows):
            noun = "images" if data.modality == "image" else "windows"
            raise UserError(f"--{option} {' '.join(map(str, rows))}: the {options.split} split has {noun} 0..{last}")
