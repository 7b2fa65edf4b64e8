"""Pictures: a grid of samples, interpolations, completions, and samples beside the nearest training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lit_gen.media.grids import write_grid
from lit_gen.media.rows import row_picture, write_png
from lit_gen.noise import Noise
from lit_gen.quantization import to_uint8
from lit_gen.runs.run import Run
from lit_gen.sample.completion import completions
from lit_gen.sample.field import write_field
from lit_gen.sample.latents import great_circle, interpolate, straight
from lit_gen.sample.memorisation import training_neighbours
from lit_gen.sample.options import Options
from lit_gen.sample.walks import write_classes, write_inversions, write_traversals, write_walks
from lit_gen.screen.bars import counted


def write_pictures(run: Run, options: Options, file: Path) -> None:
    """Draws the requested picture, and prints its path."""
    pictures = {
        "samples": write_samples,
        "interpolation": write_interpolations,
        "nearest": write_neighbours,
        "completions": write_completions,
        "walk": write_walks,
        "traversal": write_traversals,
        "classes": write_classes,
        "inversion": write_inversions,
        "field": write_field,
    }
    pictures[options.picture](run, options, file)
    print(f"picture      {file}")


def write_samples(run: Run, options: Options, file: Path) -> None:
    """Writes a grid of samples."""
    with run.trainer.precision_plugin.forward_context():
        n = options.count("image")
        blocks = run.model.sample_blocks(n, seed=options.seed, label=options.class_number)
        x = torch.cat(list(counted(blocks, "sampling", n, "images")))
    write_grid(to_uint8(x, run.model.num_levels), file)


def write_interpolations(run: Run, options: Options, file: Path) -> None:
    """Writes a row for each pair: a real image, interpolated reconstructions, the other real image."""
    real = run.data.split(options.split).x
    model: Any = run.model  # a model with latents, as checked before
    rows = []
    for pair in options.interpolate:
        ends = real[list(pair)]
        # Separately, so that a row does not depend on the other pairs.
        with run.trainer.precision_plugin.forward_context():
            noise = Noise(options.seed, pair, run.model.device)
            way = straight if options.linear else great_circle
            x_hat = interpolate(model, ends.to(run.model.device), noise, options.steps, way)
        rows.append(torch.cat([ends[:1], x_hat.cpu(), ends[1:]]))
    x = to_uint8(torch.stack(rows), run.model.num_levels)
    write_png(row_picture(x, framed=(0, options.steps + 1)), file)


def write_completions(run: Run, options: Options, file: Path) -> None:
    """Writes a row for each image: the image, its given part, and the completions."""
    real = run.data.split(options.split).x
    with run.trainer.precision_plugin.forward_context():
        x, given, done = completions(run.model, real[list(options.complete)], options)
    x, done = (to_uint8(levels, run.model.num_levels) for levels in (x, done))
    begun = torch.where(given, x, 128).to(torch.uint8)  # grey also if the data are black and white
    write_png(row_picture(torch.cat([x[:, None], begun[:, None], done], 1), framed=(0, 1)), file)


def write_neighbours(run: Run, options: Options, file: Path) -> None:
    """Writes a row for each sample with its nearest training images; prints the distances."""
    n = options.count("image")
    with run.trainer.precision_plugin.forward_context():
        x_hat = run.model.sample(n, seed=options.seed, label=options.class_number)
    found = training_neighbours(x_hat, run.data, options.split, options.k, options.class_number)
    write_png(row_picture(to_uint8(found.rows, run.model.num_levels), framed=(0,)), file)
    print(
        f"median distance to the nearest training image: {found.median:.4g} from {n} samples,"
        f" {found.held_out_median:.4g} from {found.num_held_out} held-out {options.split} images"
        f" (Euclidean, values 0..{run.model.num_levels - 1})"
    )
