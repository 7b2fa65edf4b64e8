"""A checkpoint's picture, from the options to the file.

Only this file and ``pictures`` know that examples are images; latents and neighbours are of any shape.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lit_gen import families
from lit_gen.callbacks.checkpoint import read_checkpoint
from lit_gen.callbacks.sample_grid import write_grid
from lit_gen.cli import CLI
from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.likelihood import to_uint8
from lit_gen.noise import Noise
from lit_gen.process import quicken
from lit_gen.recording import run_folder_of
from lit_gen.sample.completion import Completes, completions
from lit_gen.sample.latents import Latents, great_circle, interpolate, straight
from lit_gen.sample.memorisation import likeness
from lit_gen.sample.options import Options
from lit_gen.sample.pictures import row_picture, write_png
from lit_gen.weights import build, check_finite, load_weights


def draw(path: Path, options: Options, rest: list[str]) -> None:
    """Draws what is asked for, and prints where it is.

    Args:
        path: The checkpoint.
        options: Of the picture.
        rest: Options of ``lit_gen.fit``.
    """
    checkpoint = read_checkpoint(path)
    file = options.out or run_folder_of(path) / "samples" / f"{path.stem}-{options.name}.png"
    check_place(file)
    quicken(rest)
    # One device, whatever the run had: a picture is no work to be shared.
    cli = build(checkpoint, ["--trainer.devices=1", *rest])
    check_model(cli.model, options)
    if options.temperature is not None:
        cli.model.temperature = options.temperature
    load_weights(cli, checkpoint, cli.config_init["scoring"].weights)
    check_finite(cli.model, path)
    cli.model.to(cli.trainer.strategy.root_device).eval()
    pictures = {
        "samples": write_samples,
        "interpolation": write_interpolations,
        "nearest": write_neighbours,
        "completions": write_completions,
    }
    pictures[options.picture](cli, options, file)
    print(f"picture      {file}")


# ------------------------------------------------------------------ what is refused


def check_place(file: Path) -> None:
    """Refuses a file that could not be written, before it is drawn; makes nothing.

    Raises:
        UserError: Naming the part of the path that stands in the way.
    """
    there = next(folder for folder in file.absolute().parents if folder.exists())
    if file.is_dir() or not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"cannot write {file}: see {file if file.is_dir() else there}; give a file with --out")


def check_model(model: GenerativeModule, options: Options) -> None:
    """Refuses what this model cannot be asked for.

    Raises:
        UserError: It makes no images, or has no latents or no temperature.
    """
    name = type(model).__name__
    if options.complete and not isinstance(model, Completes):
        raise UserError(f"{name} cannot complete what is given; these can: {those_with(Completes)}")
    if len(model.shape) != 3 or model.shape[0] not in (1, 3):
        raise UserError(
            f"the samples of this {name} have shape {model.shape}, and only grey and colour images [1 or 3, H, W]"
            " can be drawn"
        )
    if options.interpolate and not isinstance(model, Latents):
        raise UserError(
            f"{name} has no encoder, so there is no way from one image to another; these have: {those_with(Latents)}"
        )
    if options.temperature is not None and not hasattr(model, "temperature"):
        raise UserError(f"{name} has no temperature; leave --temperature out")


def those_with(ability: type) -> str:
    """The families that have it, by name."""
    return ", ".join(sorted(name for name in families.__all__ if issubclass(getattr(families, name), ability)))


# ------------------------------------------------------------------ the pictures


def write_samples(cli: CLI, options: Options, file: Path) -> None:
    """A grid of samples."""
    with cli.trainer.precision_plugin.forward_context():
        x = cli.model.sample(options.n, seed=options.seed, label=options.label)
    write_grid(to_uint8(x, cli.model.num_levels), file)


def write_interpolations(cli: CLI, options: Options, file: Path) -> None:
    """A row for each pair: a real image, the way from its reconstruction to the other's, the other real image.

    Raises:
        UserError: The split has no such image.
    """
    real = cli.datamodule.split(options.split).x
    for pair in options.interpolate:
        check_rows("interpolate", pair, real, options.split)
    rows = []
    for pair in options.interpolate:
        ends = real[list(pair)]
        # By itself, so that a row is the same whichever pairs are asked for beside it.
        with cli.trainer.precision_plugin.forward_context():
            noise = Noise(options.seed, pair, cli.model.device)
            way = straight if options.linear else great_circle
            x_hat = interpolate(cli.model, ends.to(cli.model.device), noise, options.steps, way)
        rows.append(torch.cat([ends[:1], x_hat.cpu(), ends[1:]]))
    x = to_uint8(torch.stack(rows), cli.model.num_levels)
    write_png(row_picture(x, framed=(0, options.steps + 1)), file)


def check_rows(option: str, rows: Sequence[int], real: Tensor, split: str) -> None:
    """Refuses rows that the split lacks.

    Raises:
        UserError: With those it has.
    """
    if not all(0 <= row < len(real) for row in rows):
        raise UserError(f"--{option} {' '.join(map(str, rows))}: the {split} split has images 0..{len(real) - 1}")


def write_completions(cli: CLI, options: Options, file: Path) -> None:
    """A row for each image: itself, what is given of it, and what the model makes of that.

    Raises:
        UserError: The split has no such image.
    """
    real = cli.datamodule.split(options.split).x
    check_rows("complete", options.complete, real, options.split)
    with cli.trainer.precision_plugin.forward_context():
        x, given, done = completions(cli.model, real[list(options.complete)], options)
    given = torch.where(given, x, cli.model.num_levels // 2)
    rows = torch.cat([x[:, None], given[:, None], done], 1).to(torch.uint8)
    write_png(row_picture(to_uint8(rows, cli.model.num_levels), framed=(0, 1)), file)


def write_neighbours(cli: CLI, options: Options, file: Path) -> None:
    """A row for each sample, with its nearest training images; prints how near they are."""
    with cli.trainer.precision_plugin.forward_context():
        x_hat = cli.model.sample(options.n, seed=options.seed, label=options.label)
    found = likeness(x_hat, cli.datamodule, options.split, options.k, options.label)
    write_png(row_picture(to_uint8(found.rows, cli.model.num_levels), framed=(0,)), file)
    print(
        f"median distance to the nearest training image: {found.median:.4g} from {options.n} samples,"
        f" {found.held_out_median:.4g} from {found.num_held_out} held-out {options.split} images"
        f" (Euclidean, levels 0..{cli.model.num_levels - 1})"
    )
