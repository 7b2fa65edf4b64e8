"""The score field of a model of two-dimensional data, and the paths of its sampler."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric
from lit_gen.runs.run import Run
from lit_gen.sample.options import Options


@runtime_checkable
class ScoreField(Protocol):
    """A model of the score of noised data.

    Not part of the common interface: the diffusion family has these methods.
    """

    def score(self, y: Tensor, log_snr: float) -> Tensor:
        """Score of unscaled noised data ``[B, *shape]`` at a log-SNR."""

    def paths(self, noise: Noise) -> Tensor:
        """Unscaled data along the sampler, the samples last: ``[N, B, *shape]``."""


DEVIATIONS = (0.5, 0.2, 0.07)
"""Deviations of the noise whose score fields are drawn, on the scale of data from -1 to 1."""

_SIDE, _MARGIN, _REACH = 400, 12, 1.6  # pixels of a panel; half of the side of the square that it shows
_ARROWS, _PATHS = 21, 40
_PAPER, _POINTS, _LINES, _ENDS = (255, 255, 255), (190, 190, 190), (70, 110, 180), (230, 120, 0)


def write_field(run: Run, options: Options, file: Path) -> None:
    """Draws four panels: the field at each of :data:`DEVIATIONS`, and paths of the sampler that end in samples."""
    points = to_symmetric(run.data.split(options.split).x[:2_000], run.model.num_levels).flatten(1)
    with torch.no_grad(), run.trainer.precision_plugin.forward_context():
        fields = [field_of(run.model, deviation) for deviation in DEVIATIONS]
        count = _PATHS if options.n is None else options.n
        assert isinstance(run.model, ScoreField)
        paths = run.model.paths(Noise(options.seed, range(count), run.model.device)).flatten(2).float().cpu()
    picture = Image.new("RGB", (4 * _SIDE + 5 * _MARGIN, _SIDE + 2 * _MARGIN), _PAPER)
    for i, field in enumerate(fields):
        picture.paste(_field_panel(points, *field), (_MARGIN + i * (_SIDE + _MARGIN), _MARGIN))
    picture.paste(_path_panel(points, paths), (_MARGIN + 3 * (_SIDE + _MARGIN), _MARGIN))
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)


def field_of(model: GenerativeModule, deviation: float) -> tuple[Tensor, Tensor]:
    """Points of an even grid and the scores there times the noise's variance, each ``[N, 2]``.

    A score times the variance is the way to the mean of the data given the point: it has the length of a step in the
    plane.
    """
    assert isinstance(model, ScoreField)
    log_snr = -2 * math.log(deviation)
    side = torch.linspace(-0.9 * _REACH, 0.9 * _REACH, _ARROWS)
    grid = torch.cartesian_prod(side, side)
    score = model.score(grid.to(model.device).view(-1, *model.shape), log_snr).flatten(1).float().cpu()
    return grid, math.exp(-log_snr) * score


def _field_panel(points: Tensor, grid: Tensor, steps: Tensor) -> Image.Image:
    panel, draw = _panel(points)
    # Longest arrows reach the next point of the grid; shorter ones by the root of their length, to be seen at all.
    length = steps.norm(dim=1, keepdim=True).clamp_min(1e-12)
    reach = 1.8 * _REACH / (_ARROWS - 1)
    arrows = steps / length * (length / length.max()).sqrt() * reach
    for start, arrow in zip(grid, arrows, strict=True):
        _arrow(draw, start, arrow)
    return panel


def _path_panel(points: Tensor, paths: Tensor) -> Image.Image:
    panel, draw = _panel(points)
    for i in range(paths.shape[1]):
        draw.line([_pixel(y) for y in paths[:, i]], fill=_LINES, width=1)
    for y in paths[-1]:
        _dot(draw, y, _ENDS, 3)
    return panel


def _panel(points: Tensor) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    panel = Image.new("RGB", (_SIDE, _SIDE), _PAPER)
    draw = ImageDraw.Draw(panel)
    for y in points:
        _dot(draw, y, _POINTS, 1)
    draw.rectangle((0, 0, _SIDE - 1, _SIDE - 1), outline=_POINTS)
    return panel, draw


def _arrow(draw: ImageDraw.ImageDraw, start: Tensor, way: Tensor) -> None:
    end = start + way
    draw.line([_pixel(start), _pixel(end)], fill=_LINES, width=1)
    back, across = end - 0.3 * way, 0.2 * torch.stack([-way[1], way[0]])
    draw.line([_pixel(back + across), _pixel(end), _pixel(back - across)], fill=_LINES, width=1)


def _dot(draw: ImageDraw.ImageDraw, y: Tensor, colour: tuple[int, int, int], radius: int) -> None:
    column, row = _pixel(y)
    draw.ellipse((column - radius, row - radius, column + radius, row + radius), fill=colour)


def _pixel(y: Tensor) -> tuple[float, float]:
    """Column and row of a point, the second coordinate upwards; far points are kept near the panel."""
    column, row = (y.clamp(-3 * _REACH, 3 * _REACH) / _REACH).tolist()
    return (1 + column) * _SIDE / 2, (1 - row) * _SIDE / 2
