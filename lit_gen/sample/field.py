"""The field of a model of two-dimensional data: scores or a density, and the paths of its samples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric
from lit_gen.runs.run import Run
from lit_gen.sample.density_field import DensityField, density_panels
from lit_gen.sample.options import Options
from lit_gen.sample.panels import DATA, EXACT, MODEL, SAMPLE, Panel, arrows_of, beside


@runtime_checkable
class ScoreField(Protocol):
    """A model of the score of noised data.

    Not part of the common interface: the diffusion family has these methods.
    """

    def score(self, y: Tensor, log_snr: float) -> Tensor:
        """Score of unscaled noised data ``[B, *shape]`` at a log-SNR."""

    def paths(self, noise: Noise) -> Tensor:
        """Unscaled data along the sampler, the samples last: ``[N, B, *shape]``."""


@runtime_checkable
class KnownDistribution(Protocol):
    """Data whose probabilities are known, and few enough to enumerate."""

    def enumerate(self) -> Tensor:
        """All examples, integers ``[S, *shape]``."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probabilities of integers ``[B, *shape]`` in nats: float64 ``[B]``."""


DEVIATIONS = (0.5, 0.2, 0.07)
"""Deviations of the noise whose score fields are drawn, on the scale of data from -1 to 1."""

_REACH, _ARROWS, _PATHS, _POINTS = 1.6, 21, 40, 2_000


def write_field(run: Run, options: Options, file: Path) -> None:
    """Draws a flow's density and the paths through its layers, or score fields and the paths of a sampler."""
    points = to_symmetric(run.data.split(options.split).x[:_POINTS], run.model.num_levels).flatten(1)
    noise = Noise(options.seed, range(_PATHS if options.n is None else options.n), run.model.device)
    with torch.no_grad(), run.trainer.precision_plugin.forward_context():
        if isinstance(run.model, DensityField):
            panels, legend, shades = density_panels(run.model, run.data, points, noise)
        else:
            panels, legend, shades = *_score_panels(run.model, run.data, points, noise), ""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside(panels, legend, shades).save(file)


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


def exact_field(data: KnownDistribution, num_levels: int, grid: Tensor, deviation: float) -> Tensor:
    """Exact scores of noised data at points ``[N, 2]``, times the noise's variance.

    It is the mean of the data given the point, less the point, as the sum over all examples.
    """
    x = data.enumerate()
    log_p = data.log_prob(x)
    possible = log_p > -700  # also rare examples count, at points that are far from others; below, float64 holds none
    values = to_symmetric(x[possible], num_levels).flatten(1).double()
    own = log_p[possible] - values.square().sum(1) / (2 * deviation**2)
    found = []
    for part in grid.double().split(64):
        # The square of the point itself is the same for all examples.
        log_weight = torch.addmm(own, part, values.T, alpha=1 / deviation**2)
        found.append(log_weight.softmax(1) @ values - part)
    return torch.cat(found).to(grid.dtype)


def _score_panels(
    model: GenerativeModule, data: DiscreteDataModule, points: Tensor, noise: Noise
) -> tuple[list[Panel], list[tuple[tuple[int, int, int], str]]]:
    known = isinstance(data, KnownDistribution)
    panels = []
    for deviation in DEVIATIONS:
        grid, steps = field_of(model, deviation)
        fields = [steps]
        if isinstance(data, KnownDistribution):
            fields = [exact_field(data, model.num_levels, grid, deviation), steps]
        panel = Panel(f"score times variance, at noise {deviation:g}", _REACH)
        panel.points(points, DATA, 0.8)
        arrows = arrows_of(fields, 1.8 * _REACH / (_ARROWS - 1))
        if known:
            panel.arrows(grid, arrows[0], EXACT, 2)
        panel.arrows(grid, arrows[-1], MODEL)
        panels.append(panel)
    assert isinstance(model, ScoreField)
    paths = model.paths(noise).flatten(2).float().cpu()
    panel = Panel(f"{paths.shape[1]} paths of the sampler", _REACH)
    panel.points(points, DATA, 0.8)
    for i in range(paths.shape[1]):
        panel.path(paths[:, i], MODEL)
    panel.points(paths[-1], SAMPLE, 3)
    legend = [(DATA, "data"), (MODEL, "model"), (SAMPLE, "samples")]
    return [*panels, panel], [*legend, (EXACT, "exact score of the noised data")] if known else legend
