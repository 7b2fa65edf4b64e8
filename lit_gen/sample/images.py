"""Images: a grid of samples, ways between two, completions, and samples beside the nearest training images."""

from __future__ import annotations

from pathlib import Path

import torch

from lit_gen.callbacks.sample_grid import write_grid
from lit_gen.cli import CLI
from lit_gen.likelihood import to_uint8
from lit_gen.noise import Noise
from lit_gen.sample.completion import completions
from lit_gen.sample.latents import great_circle, interpolate, straight
from lit_gen.sample.memorisation import likeness
from lit_gen.sample.options import Options
from lit_gen.sample.pictures import row_picture, write_png


def write_pictures(cli: CLI, options: Options, file: Path) -> None:
    """Draws the picture that is asked for, and prints where it is."""
    pictures = {
        "samples": write_samples,
        "interpolation": write_interpolations,
        "nearest": write_neighbours,
        "completions": write_completions,
    }
    pictures[options.picture](cli, options, file)
    print(f"picture      {file}")


def write_samples(cli: CLI, options: Options, file: Path) -> None:
    """A grid of samples."""
    with cli.trainer.precision_plugin.forward_context():
        x = cli.model.sample(options.count("image"), seed=options.seed, label=options.label)
    write_grid(to_uint8(x, cli.model.num_levels), file)


def write_interpolations(cli: CLI, options: Options, file: Path) -> None:
    """A row for each pair: a real image, the way from its reconstruction to the other's, the other real image."""
    real = cli.datamodule.split(options.split).x
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


def write_completions(cli: CLI, options: Options, file: Path) -> None:
    """A row for each image: itself, what is given of it, and what the model makes of that."""
    real = cli.datamodule.split(options.split).x
    with cli.trainer.precision_plugin.forward_context():
        x, given, done = completions(cli.model, real[list(options.complete)], options)
    x, done = (to_uint8(levels, cli.model.num_levels) for levels in (x, done))
    begun = torch.where(given, x, 128).to(torch.uint8)  # grey also where the data know black and white alone
    write_png(row_picture(torch.cat([x[:, None], begun[:, None], done], 1), framed=(0, 1)), file)


def write_neighbours(cli: CLI, options: Options, file: Path) -> None:
    """A row for each sample, with its nearest training images; prints how near they are."""
    n = options.count("image")
    with cli.trainer.precision_plugin.forward_context():
        x_hat = cli.model.sample(n, seed=options.seed, label=options.label)
    found = likeness(x_hat, cli.datamodule, options.split, options.k, options.label)
    write_png(row_picture(to_uint8(found.rows, cli.model.num_levels), framed=(0,)), file)
    print(
        f"median distance to the nearest training image: {found.median:.4g} from {n} samples,"
        f" {found.held_out_median:.4g} from {found.num_held_out} held-out {options.split} images"
        f" (Euclidean, levels 0..{cli.model.num_levels - 1})"
    )
