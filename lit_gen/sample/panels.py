"""Panels of the plane: points, arrows, paths and densities in a square with a title and ticks, beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Colour = tuple[int, int, int]
DATA: Colour = (175, 175, 175)
MODEL: Colour = (40, 85, 165)
EXACT: Colour = (145, 215, 160)
SAMPLE: Colour = (225, 110, 0)
LATENT: Colour = (140, 60, 160)
"""Colours that mean the same in all pictures of the plane."""

_PAPER, _INK, _DENSE = (255, 255, 255), (60, 60, 60), (95, 150, 215)
_SIDE, _LEFT, _BELOW, _ABOVE, _MARGIN, _LEGEND = 400, 34, 22, 26, 14, 30  # pixels
_FINE = 2  # is drawn in so many times the size, and reduced: PIL's lines have steps
_FONT = ImageFont.load_default(12 * _FINE)


class Panel:
    """A square of the plane, from ``-reach`` to ``reach`` in both coordinates, the second upwards.

    Args:
        title: Line above the square.
        reach: Half of the side.
    """

    def __init__(self, title: str, reach: float) -> None:
        self.title, self.reach = title, reach
        self._square = Image.new("RGB", (_FINE * _SIDE, _FINE * _SIDE), _PAPER)
        self._draw = ImageDraw.Draw(self._square)

    def points(self, y: Tensor, colour: Colour, radius: float) -> None:
        """Draws points ``[B, 2]``."""
        radius *= _FINE
        for column, row in self._pixels(y):
            self._draw.ellipse((column - radius, row - radius, column + radius, row + radius), fill=colour)

    def arrows(self, starts: Tensor, ways: Tensor, colour: Colour, width: float = 1) -> None:
        """Draws arrows from points ``[B, 2]`` along vectors ``[B, 2]``."""
        back, across = starts + 0.7 * ways, 0.2 * torch.stack([-ways[:, 1], ways[:, 0]], 1)
        for corners in zip(starts, starts + ways, back + across, back - across, strict=True):
            start, end, left, right = self._pixels(torch.stack(corners))
            self._draw.line([start, end], fill=colour, width=round(width * _FINE))
            self._draw.line([left, end, right], fill=colour, width=round(width * _FINE))

    def path(self, y: Tensor, colour: Colour) -> None:
        """Draws lines between consecutive points ``[N, 2]``, as far as they lie in the square, the first ones pale."""
        for i, (start, end) in enumerate(pairwise(y.double()), 1):
            if (seen := inside(start, end, self.reach)) is not None:
                share = 0.15 + 0.85 * i / (len(y) - 1)
                fill = tuple(round(share * value + (1 - share) * 255) for value in colour)
                self._draw.line(list(self._pixels(torch.stack(seen))), fill=fill, width=_FINE)

    def density(self, shade: Tensor, extent: float) -> None:
        """Fills the square of half side ``extent`` with shades.

        Args:
            shade: From 0 (paper) to 1, ``[N, N]``; the first index is that of the first coordinate.
            extent: Half of the side of the shaded square, at most the reach.
        """
        rows = shade.T.flip(0).clamp(0, 1)[..., None]
        colours = rows * torch.tensor(_DENSE, dtype=rows.dtype) + (1 - rows) * 255
        side = round(_FINE * _SIDE * extent / self.reach)
        corner = (_FINE * _SIDE - side) // 2
        cells = Image.fromarray(colours.round().to(torch.uint8).numpy())
        self._square.paste(cells.resize((side, side), Image.Resampling.BILINEAR), (corner, corner))

    def drawn(self) -> Image.Image:
        """The square with its frame, ticks and title, in the size of the drawing."""
        width, height = (_FINE * size for size in (_LEFT + _SIDE, _ABOVE + _SIDE + _BELOW))
        picture = Image.new("RGB", (width, height), _PAPER)
        left, top, side = _FINE * _LEFT, _FINE * _ABOVE, _FINE * _SIDE
        picture.paste(self._square, (left, top))
        draw = ImageDraw.Draw(picture)
        draw.rectangle((left, top, left + side - 1, top + side - 1), outline=_INK, width=_FINE)
        draw.text((left + side / 2, top - 6 * _FINE), self.title, _INK, _FONT, anchor="ms")
        step = 1 if self.reach < 2.5 else 2
        for tick in range(-math.floor(self.reach), math.floor(self.reach) + 1):
            if tick % step == 0:
                ((column, row),) = self._pixels(torch.tensor([[tick, tick]]))
                draw.line([left + column, top + side, left + column, top + side - 5 * _FINE], _INK, _FINE)
                draw.line([left, top + row, left + 5 * _FINE, top + row], _INK, _FINE)
                draw.text((left + column, top + side + 5 * _FINE), str(tick), _INK, _FONT, anchor="ma")
                draw.text((left - 5 * _FINE, top + row), str(tick), _INK, _FONT, anchor="rm")
        return picture

    def _pixels(self, y: Tensor) -> Iterator[tuple[float, float]]:
        """Columns and rows of points ``[B, 2]``."""
        for first, second in (y.double() / self.reach).tolist():
            yield (1 + first) * _FINE * _SIDE / 2, (1 - second) * _FINE * _SIDE / 2


def beside(panels: Sequence[Panel], legend: Sequence[tuple[Colour, str]], shades: str = "") -> Image.Image:
    """Panels from left to right, and below them what the colours mean.

    Args:
        panels: One or more.
        legend: Colours and their meaning.
        shades: Meaning of the shades of a density, if there are any.
    """
    drawn = [panel.drawn() for panel in panels]
    margin = _FINE * _MARGIN
    width, height = sum(panel.width + margin for panel in drawn) + margin, drawn[0].height + _FINE * _LEGEND
    picture = Image.new("RGB", (width, height), _PAPER)
    for i, panel in enumerate(drawn):
        picture.paste(panel, (margin // 2 + i * (panel.width + margin), 0))
    draw = ImageDraw.Draw(picture)
    column, row = float(margin // 2 + _FINE * _LEFT), height - _FINE * _LEGEND / 2
    for colour, text in legend:
        draw.ellipse((column, row - 4 * _FINE, column + 8 * _FINE, row + 4 * _FINE), fill=colour)
        draw.text((column + 13 * _FINE, row), text, _INK, _FONT, anchor="lm")
        column += draw.textlength(text, _FONT) + 38 * _FINE
    if shades:
        bar = torch.linspace(0, 1, 60 * _FINE)[None, :, None].expand(8 * _FINE, -1, 3)
        colours = (bar * torch.tensor(_DENSE) + (1 - bar) * 255).round().to(torch.uint8).numpy()
        picture.paste(Image.fromarray(colours), (round(column), round(row) - 4 * _FINE))
        draw.rectangle((column, row - 4 * _FINE, column + 60 * _FINE, row + 4 * _FINE), outline=_INK)
        draw.text((column + 66 * _FINE, row), shades, _INK, _FONT, anchor="lm")
    return picture.resize((width // _FINE, height // _FINE), Image.Resampling.LANCZOS)


def inside(start: Tensor, end: Tensor, reach: float) -> tuple[Tensor, Tensor] | None:
    """The part of a line between points ``[2]`` that lies in the square; None if there is none, or it is not finite.

    References:
        Liang, Barsky: A New Concept and Method for Line Clipping, 1984.

    >>> inside(torch.tensor([0.0, 0.0]), torch.tensor([4.0, 2.0]), 2.0)
    (tensor([0., 0.]), tensor([2., 1.]))
    """
    way = end - start
    if not bool(way.isfinite().all()):
        return None
    first, last = 0.0, 1.0
    for at, step in zip(start.tolist(), way.tolist(), strict=True):
        if step == 0:
            if abs(at) > reach:
                return None
            continue
        entry, leave = sorted([(-reach - at) / step, (reach - at) / step])
        first, last = max(first, entry), min(last, leave)
    return None if first > last else (start + first * way, start + last * way)


def arrows_of(ways: Sequence[Tensor], spacing: float) -> list[Tensor]:
    """Arrows for vector fields ``[B, 2]`` that are compared, of one scale.

    The longest reach to the next point of the grid, and shorter ones are drawn by the root of their length, to be seen
    at all. The scale is that of the 95th percentile of the first field; beyond it, arrows are equally long.

    Args:
        ways: The fields.
        spacing: Distance of the grid's points.
    """
    unit = ways[0].norm(dim=1).quantile(0.95).clamp_min(1e-12)
    found = []
    for way in ways:
        length = way.norm(dim=1, keepdim=True).clamp_min(1e-12)
        found.append(way / length * (length / unit).clamp_max(1).sqrt() * spacing)
    return found
