"""Pictures of a latent space: ways between samples, one latent at a time, classes, and reconstructions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.media.rows import row_picture, write_png
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric, to_uint8
from lit_gen.runs.run import Run
from lit_gen.sample.latents import great_circle, straight
from lit_gen.sample.options import Options

_FARTHEST = 2.5  # a standard normal latent is within it in 99% of samples


@runtime_checkable
class DrawsLatents(Protocol):
    """A model whose sample is a deterministic function of latents that it draws.

    Not part of the common interface: a family has these two methods if they are meaningful.
    """

    def sample_latent(self, noise: Noise) -> Tensor:
        """Latents ``[len(noise), Z]`` of samples."""

    def from_latent(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Integers uint8 ``[B, *shape]`` of latents ``[B, Z]``, and of classes int64 ``[B]`` if it has them."""


def write_walks(run: Run, options: Options, file: Path) -> None:
    """Writes a row for each pair of samples: both, and samples on the way between their latents."""
    t = torch.linspace(0, 1, options.steps, device=run.model.device)
    way = straight if options.linear else great_circle
    rows = []
    for pair in options.walk:
        start, end = _latents(run, pair, options)
        rows.append(_decoded(run, way(start, end, t), options))
    _write(run, torch.stack(rows), file, framed=(0, options.steps - 1))


def write_traversals(run: Run, options: Options, file: Path) -> None:
    """Writes for each sample a row for each of the first k latents, which goes from -2.5 to 2.5; beside the sample."""
    values = torch.linspace(-_FARTHEST, _FARTHEST, options.steps, device=run.model.device)
    rows = []
    for z in _latents(run, options.traverse, options):
        for coordinate in range(min(options.k, len(z))):
            moved = z.repeat(options.steps + 1, 1)
            moved[1:, coordinate] = values
            rows.append(_decoded(run, moved, options))
    _write(run, torch.stack(rows), file, framed=(0,))


def write_classes(run: Run, options: Options, file: Path) -> None:
    """Writes a row of k samples for each class, with the same noise in each column."""
    with run.trainer.precision_plugin.forward_context():
        rows = [run.model.sample(options.k, seed=options.seed, label=c) for c in range(run.model.num_classes)]
    _write(run, torch.stack(rows), file)


def write_inversions(run: Run, options: Options, file: Path) -> None:
    """Writes a row for each image: the image, and its reconstruction through latents; prints their errors."""
    model: Any = run.model  # a model with latents, as checked before
    x = run.data.split(options.split).x[list(options.invert)]
    with run.trainer.precision_plugin.forward_context(), torch.no_grad():
        noise = Noise(options.seed, options.invert, model.device)
        x_hat = model.from_latent(model.to_latent(x.to(model.device), noise)).cpu()
    _write(run, torch.stack([x, x_hat], 1), file, framed=(0,))
    error = to_symmetric(x, model.num_levels) - to_symmetric(x_hat, model.num_levels)
    for row, each in zip(options.invert, error.square().flatten(1).mean(1).tolist(), strict=True):
        print(f"{options.split} {row}: mean squared error {each:.4g} (values in -1..1)")


def _latents(run: Run, numbers: tuple[int, ...], options: Options) -> Tensor:
    """Latents of samples by their numbers."""
    model: Any = run.model
    return model.sample_latent(Noise(options.seed, numbers, model.device))


@torch.no_grad()
def _decoded(run: Run, z: Tensor, options: Options) -> Tensor:
    model: Any = run.model
    with run.trainer.precision_plugin.forward_context():
        if options.class_number is None:
            return model.from_latent(z).cpu()
        return model.from_latent(z, torch.full((len(z),), options.class_number, device=z.device)).cpu()


def _write(run: Run, x: Tensor, file: Path, framed: tuple[int, ...] = ()) -> None:
    write_png(row_picture(to_uint8(x, run.model.num_levels), framed=framed), file)


def check_walks(model: GenerativeModule, options: Options) -> None:
    """Validates that a model can show what is asked of its latents and classes.

    Raises:
        UserError: If it cannot.
    """
    name = type(model).__name__
    if options.classes and not model.num_classes:
        raise UserError(f"--classes: {name} was trained without labels; leave it out")
    if not (options.walk or options.traverse):
        return
    asked = "--walk" if options.walk else "--traverse"
    if not isinstance(model, DrawsLatents):
        raise UserError(f"{asked}: {name} draws no latents that its samples are functions of; leave it out")
    if model.num_classes and options.label is None:
        raise UserError(f"{asked}: {name} has classes; choose one with --label")
