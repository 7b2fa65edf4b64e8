"""Plots of quality against cost as inline SVG, without scripts or libraries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lit_gen.leaderboard.label_placement import place_labels
from lit_gen.leaderboard.markup import Markup, element, join

WIDTH, HEIGHT = 760, 420
MOST_NAMED = 400
"""Points up to which each is an element of the page, with a name and a link; of more, only those of the frontier."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 16, 52


@dataclass(frozen=True)
class Point:
    """One run in the plane, or one of its scores.

    Attributes:
        x: Cost of the run, positive.
        y: Score of the run.
        label: The run's name; the same in all points of a curve, and printed once.
        tooltip: The numbers in words.
        shade: Index of its family's colour.
        shape: `exact`, `bound`, `estimate`, or `plain` for other scores.
        anchor: Id of the run's card on the page.
        curve: Sets a run's curves apart: points of one run and one curve are joined.
        owner: What joins points of several cards, as those of a run's checkpoints; by default the anchor.
    """

    x: float
    y: float
    label: str
    tooltip: str
    shade: int
    shape: str
    anchor: str
    curve: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Axis:
    """Maps values to one direction of the drawing.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Coordinate of the low end.
        end: Coordinate of the high end.
        log: Whether equal ratios have equal lengths.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, value: float) -> float:
        """Coordinate of a value."""
        at = math.log10(value / self.low) / math.log10(self.high / self.low) if self.log else (
            (value - self.low) / (self.high - self.low))
        return self.start + at * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within the axis: decades with 2 and 5 between few of them, or even steps."""
        if not self.log:
            step = _round_step((self.high - self.low) / 5)
            first = math.ceil(self.low / step - 1e-9)
            return [step * k for k in range(first, math.floor(self.high / step + 1e-9) + 1)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1,), (1, 3), (1, 2, 5)):
            found = [s * 10.0**d for d in decades for s in steps if self.low <= s * 10.0**d <= self.high]
            if len(found) >= 3:
                return found
        linear = Axis(self.low, self.high, self.start, self.end, log=False)
        return linear.ticks()


def fit_axis(values: Sequence[float], start: float, end: float, *, log: bool) -> Axis:
    """An axis that contains the values with a margin; a single value is in its middle."""
    low, high = min(values), max(values)
    if log:
        margin = max((high / low) ** 0.08, 1.15)
        return Axis(low / margin, high * margin, start, end, log)
    gap = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    return Axis(low - gap, high + gap, start, end, log)


def frontier(points: Sequence[Point], *, higher_is_better: bool) -> list[Point]:
    """The points that no other point dominates at equal or lower cost, from cheap to expensive.

    Estimates of a likelihood are left out, because they guarantee nothing (see `table.py`).
    """
    sign = -1 if higher_is_better else 1
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, sign * p.y)):
        if point.shape != "estimate" and (not kept or sign * point.y < sign * kept[-1].y):
            kept.append(point)
    return kept


def curves(points: Sequence[Point]) -> list[list[int]]:
    """The indices of each curve's points, from cheap to expensive; a point by itself is a curve of one."""
    found: dict[tuple[str, str], list[int]] = {}
    for i, point in enumerate(points):
        found.setdefault((point.owner or point.anchor, point.curve), []).append(i)
    return [sorted(curve, key=lambda i: points[i].x) for curve in found.values()]


def draw(
    points: Sequence[Point],
    baselines: Sequence[tuple[str, float]],
    *,
    x_title: str,
    y_title: str,
    x_figure: Callable[[float], str],
    x_round: Sequence[float],
    higher_is_better: bool,
    log_y: bool,
) -> Markup:
    """Draws the plot.

    Args:
        points: The runs, those of a curve joined by a line.
        baselines: Name and score of references within the drawing (`near`), drawn as lines across.
        x_title: Name of the cost, its axis always logarithmic.
        y_title: Name of the score.
        x_figure: How a cost is printed at its tick.
        x_round: Costs that are round in their own unit; empty for powers of ten.
        higher_is_better: Whether a higher score is better, for the frontier.
        log_y: Whether the score's axis is logarithmic too; then all scores must be positive.
    """
    x = fit_axis([p.x for p in points], _LEFT, WIDTH - _RIGHT, log=True)
    y = fit_axis([p.y for p in points] + [v for _, v in baselines], HEIGHT - _BOTTOM, _TOP, log=log_y)
    best = frontier(points, higher_is_better=higher_is_better)
    points, crowd = _named(points, best)
    places = [(x(p.x), y(p.y)) for p in points]
    joined = curves(points)
    labels = [(points[curve[0]].label, curve[::-1]) for curve in joined]
    segments = [(places[i], places[j]) for curve in joined for i, j in itertools.pairwise(curve)]
    placed = place_labels(places, labels, segments, (_LEFT, _TOP, WIDTH - 4, HEIGHT - _BOTTOM))
    marks = [_mark(p, *places[i], placed.get(i)) for i, p in enumerate(points)]
    lines = [_curve_line([places[i] for i in curve], points[curve[0]].shade) for curve in joined if len(curve) > 1]
    return element(
        "svg", _frame(x, y, x_title, y_title, x_figure, x_round), _baseline_lines(baselines, y),
        _crowd(crowd, x, y), _frontier_line(best, x, y), *lines, *marks,
        viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=f"{y_title} against {x_title}",
    )


def _named(points: Sequence[Point], best: Sequence[Point]) -> tuple[Sequence[Point], Sequence[Point]]:
    """The points that are drawn with name and link, and the others."""
    if len(points) <= MOST_NAMED:
        return points, ()
    kept = {id(point) for point in best}
    return best, [point for point in points if id(point) not in kept]


def _crowd(points: Sequence[Point], x: Axis, y: Axis) -> Markup:
    """Thousands of points as one path for each family, of dots alone."""
    paths: dict[int, list[str]] = {}
    for point in points:
        paths.setdefault(point.shade, []).append(f"M{x(point.x):.0f} {y(point.y):.0f}h0")
    return join(element("path", d="".join(dots), class_=f"crowd shade{shade}") for shade, dots in paths.items())


def near(
    baselines: Sequence[tuple[str, float]], points: Sequence[Point], *, log: bool
) -> list[tuple[str, float]]:
    """The baselines that can be drawn without crowding the points into less than half of the height."""
    scale = math.log if log else float
    values = [scale(p.y) for p in points]
    low, high = min(values), max(values)
    span = high - low or abs(high) * 0.2 or 1.0
    drawn = [(label, value) for label, value in baselines if value > 0 or not log]
    return [(label, v) for label, v in drawn if low - span <= scale(v) <= high + span]


def _frame(
    x: Axis, y: Axis, x_title: str, y_title: str, x_figure: Callable[[float], str], x_round: Sequence[float]
) -> Markup:
    parts = []
    ticks = [value for value in x_round if x.low <= value <= x.high] or x.ticks()
    for value in ticks[:: math.ceil(len(ticks) / 7)]:
        at = f"{x(value):.1f}"
        parts.append(element("line", x1=at, x2=at, y1=_TOP, y2=HEIGHT - _BOTTOM, class_="rule"))
        parts.append(element("text", x_figure(value), x=at, y=HEIGHT - _BOTTOM + 18, class_="tick middle"))
    for value in y.ticks():
        at = f"{y(value):.1f}"
        parts.append(element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at, y2=at, class_="rule"))
        parts.append(element("text", f"{value:.10g}", x=_LEFT - 8, y=at, dy="0.35em", class_="tick end"))
    middle = (HEIGHT - _BOTTOM + _TOP) / 2
    centre = (WIDTH - _RIGHT + _LEFT) / 2
    turned = f"translate(14 {middle:g}) rotate(-90)"
    parts.append(element("text", x_title, x=centre, y=HEIGHT - 10, class_="title middle"))
    parts.append(element("text", y_title, transform=turned, class_="title middle"))
    return element("g", *parts)


def _baseline_lines(baselines: Sequence[tuple[str, float]], y: Axis) -> Markup:
    parts = []
    for label, value in baselines:
        at = f"{y(value):.1f}"
        parts.append(element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at, y2=at, class_="baseline"))
        parts.append(element("text", label, x=WIDTH - _RIGHT - 4, y=at, dy="-0.4em", class_="tick end"))
    return element("g", *parts)


def _frontier_line(points: Sequence[Point], x: Axis, y: Axis) -> Markup:
    """Steps: between two costs, the best is still what the cheaper run reached."""
    path = ""
    for i, point in enumerate(points):
        path += f"H{x(point.x):.1f}V{y(point.y):.1f}" if i else f"M{x(point.x):.1f} {y(point.y):.1f}"
    return element("path", d=path, class_="frontier") if len(points) > 1 else Markup("")


def _curve_line(places: Sequence[tuple[float, float]], colour: int) -> Markup:
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return element("polyline", points=corners, class_=f"curve shade{colour}")


def _mark(point: Point, x: float, y: float, label: tuple[float, float] | None) -> Markup:
    place = f"translate({x:.1f} {y:.1f})"
    # A bound points down: the model's own value lies there or lower. An estimate is hollow.
    shape = (element("path", d="M-6 -4.5H6L0 6.5Z") if point.shape == "bound"
             else element("circle", r=5))
    parts = [element("title", point.tooltip), shape]
    if label:
        parts.append(element("text", point.label, x=f"{label[0]:.1f}", y=f"{label[1]:.1f}"))
    group = element("g", *parts, transform=place,
                    class_=f"mark shade{point.shade}" + (" hollow" if point.shape == "estimate" else ""))
    return element("a", group, href=f"#{point.anchor}", aria_label=point.tooltip)


def _round_step(rough: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is not below the given step."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))


def legend(families: Sequence[str], present: Sequence[str], points: Sequence[Point]) -> Markup:
    """The colours, marks and lines that occur.

    Args:
        families: All families of the page, whose order gives their colours.
        present: Those in the plot.
        points: The points drawn.
    """
    parts = [element("span", element("i", class_=f"dot shade{shade(families, name)}"), name, class_="key")
             for name in present]
    words = {"exact": "● exact", "bound": "▼ upper bound", "estimate": "○ estimate"}
    parts += [element("span", words[shape], class_="key") for shape in words if shape in {p.shape for p in points}]
    if any(len(curve) > 1 for curve in curves(points)):
        parts.append(element("span", "●─● one sampler, or the checkpoints, of one run", class_="key"))
    parts.append(element("span", "─ best at equal or lower cost", class_="key"))
    return element("p", join(parts), class_="legend")


def shade(families: Sequence[str], family: str) -> int:
    """Index of a family's colour; there are eight, used again from the ninth family on."""
    return list(families).index(family) % 8
