"""The density of a flow of two-dimensional data beside the exact one, its gradient, and paths through the layers."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule, Toy2D
from lit_gen.noise import Noise
from lit_gen.quantization import bins_to_symmetric, symmetric_to_bins
from lit_gen.sample.panels import DATA, LATENT, MODEL, SAMPLE, Panel, arrows_of


@runtime_checkable
class DensityField(Protocol):
    """A model with a density of dequantized data, whose samples go through layers.

    Not part of the common interface: the flows have these methods.
    """

    def log_density(self, y: Tensor) -> Tensor:
        """Log p(y) of dequantized data ``[B, *shape]`` in [0, 1): nats, ``[B]``."""

    def layer_paths(self, noise: Noise) -> Tensor:
        """Latents, what each layer makes of them, and dequantized data in [0, 1) last: ``[N, B, D]``."""


NATS = 8.0
"""Range of the shades of a log-density, down from the highest."""

_ARROWS, _CELLS, _INK = 21, 256, (30, 30, 60)


def density_panels(
    model: GenerativeModule, data: DiscreteDataModule, points: Tensor, noise: Noise
) -> tuple[list[Panel], list[tuple[tuple[int, int, int], str]], str]:
    """Panels of a model's density, of the exact one if it is known, and of paths; their legend, and that of the shades.

    Args:
        model: A flow.
        data: Its data.
        points: Examples on the scale from -1 to 1, ``[B, 2]``.
        noise: A row for each path.
    """
    extent = 1 + 1 / (model.num_levels - 1)  # the outer edges of the outer bins
    densities, scores, titles = [], [], []
    grid, score = score_of_density(model)
    if isinstance(data, Toy2D):
        densities.append(exact_density(data))
        scores.append(_exact_score(data, grid))
        titles.append("exact log-density and score")
    densities.append(density_of(model))
    scores.append(score)
    side = 2 * extent / len(densities[-1])
    mass = float(densities[-1].exp().sum()) * side**2
    titles.append(f"model's log-density and score; mass in the square {mass:.4f}")
    top = max(float(each.max()) for each in densities)
    panels = []
    for title, density, arrows in zip(titles, densities, arrows_of(scores, 1.9 / (_ARROWS - 1)), strict=True):
        panel = Panel(title, 1.1)
        panel.density((density - top) / NATS + 1, extent)
        panel.arrows(grid, arrows, _INK)
        panels.append(panel)
    legend = [(_INK, "score"), (DATA, "data"), (LATENT, "latents"), (MODEL, "paths"), (SAMPLE, "samples")]
    shades = f"log-density, {top - NATS:.1f} or less to {top:.1f} nats"
    return [*panels, _path_panel(model, points, noise)], legend, shades


def density_of(model: GenerativeModule) -> Tensor:
    """Log-density over the square of the data's bins, of numbers on the scale from -1 to 1: ``[N, N]``.

    Each bin is divided into equal cells, of which there are at least 256 along a side, and the density is that at their
    middles. Its exponential's sum times a cell's area is therefore at most about 1, and less by the mass outside.
    """
    count = model.num_levels * max(1, math.ceil(_CELLS / model.num_levels))
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    y = torch.cartesian_prod(middles, middles).float().to(model.device)
    assert isinstance(model, DensityField)
    parts = [model.log_density(part.view(-1, *model.shape)) for part in y.split(1 << 14)]
    return torch.cat(parts).double().cpu().view(count, count) + _change_of_scale(model.num_levels)


def exact_density(data: Toy2D) -> Tensor:
    """Exact log-density of the uniformly dequantized data on the scale from -1 to 1, bin by bin: ``[L, L]``.

    A level's probability is spread evenly over its bin, as uniform dequantization does.
    """
    log_p = data.log_prob(data.enumerate()).view(data.num_levels, data.num_levels)
    return log_p + 2 * math.log((data.num_levels - 1) / 2)


def score_of_density(model: GenerativeModule) -> tuple[Tensor, Tensor]:
    """Points of an even grid and the gradient of the log-density there, each ``[N, 2]``, on the scale from -1 to 1.

    The gradient is that of the density of real numbers, by automatic differentiation: no noise is added, since the
    density is a smooth function of the plane.
    """
    side = torch.linspace(-0.95, 0.95, _ARROWS)
    grid = torch.cartesian_prod(side, side)
    assert isinstance(model, DensityField)
    with torch.enable_grad():
        at = grid.to(model.device).requires_grad_()
        y = symmetric_to_bins(at, model.num_levels).view(-1, *model.shape)
        (score,) = torch.autograd.grad(model.log_density(y).sum(), at)
    return grid, score.float().cpu()


def _exact_score(data: Toy2D, grid: Tensor) -> Tensor:
    """Gradient of the density from which the data were rounded: that of a probability by bin is 0 almost everywhere."""
    with torch.enable_grad():
        at = grid.clone().requires_grad_()
        (score,) = torch.autograd.grad(data.density.log_density(at).sum(), at)
    return score


def _change_of_scale(num_levels: int) -> float:
    """Log of the area in [0, 1)**2 that stands for a unit area on the scale from -1 to 1."""
    return 2 * math.log((num_levels - 1) / (2 * num_levels))


def _path_panel(model: GenerativeModule, points: Tensor, noise: Noise) -> Panel:
    assert isinstance(model, DensityField)
    paths = model.layer_paths(noise).cpu()
    paths[-1] = bins_to_symmetric(paths[-1], model.num_levels)
    panel = Panel(f"{paths.shape[1]} paths from latents through {len(paths) - 1} layers", 3.3)
    panel.points(points, DATA, 0.8)
    for i in range(paths.shape[1]):
        panel.path(paths[:, i], MODEL)
    panel.points(paths[0], LATENT, 2.5)
    panel.points(paths[-1], SAMPLE, 2.5)
    return panel
