"""Where the points land, which form the frontier, and that labels keep clear of one another."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest

from lit_gen.leaderboard.plot import Axis, Point, draw, fit_axis, frontier, near


def at(x: float, y: float, label: str = "run", shape: str = "plain") -> Point:
    return Point(x, y, label, f"{label}: {x} {y}", 0, shape, f"s0-{label}")


def drawn(points: Sequence[Point]) -> str:
    return draw(points, [], x_title="training time", y_title="FD", x_figure=str, x_round=(),
                higher_is_better=False, log_y=False)


def test_equal_ratios_have_equal_lengths() -> None:
    axis = Axis(1.0, 100.0, 0.0, 200.0, log=True)
    assert [axis(v) for v in (1.0, 10.0, 100.0)] == pytest.approx([0.0, 100.0, 200.0])
    assert Axis(0.0, 10.0, 100.0, 0.0, log=False)(2.5) == pytest.approx(75.0)


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("values", [[3.0], [1e-3, 1e6], [2.08, 2.95], [5.0, 5.0], [99_000.0, 101_000.0]])
def test_axes_hold_their_values_and_have_ticks(values: list[float], log: bool) -> None:
    axis = fit_axis(values, 0.0, 100.0, log=log)
    assert all(0 < axis(v) < 100 for v in values)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 12
    assert all(axis.low <= t <= axis.high for t in ticks)
    assert ticks == sorted(ticks)


def test_frontier_keeps_what_none_beats_at_equal_or_lower_cost() -> None:
    points = [at(1, 5), at(2, 6), at(3, 4), at(3, 3), at(4, 1, shape="estimate"), at(9, 2)]
    assert [(p.x, p.y) for p in frontier(points, higher_is_better=False)] == [(1, 5), (3, 3), (9, 2)]
    assert [(p.x, p.y) for p in frontier(points, higher_is_better=True)] == [(1, 5), (2, 6)]


def test_a_floor_far_away_does_not_flatten_the_drawing() -> None:
    points = [at(1, 2.0), at(2, 3.0)]
    assert near([("noise", 4.1), ("truth", 1.5)], points, log=False) == [("truth", 1.5)]
    assert near([("nought", 0.0)], points, log=True) == []


def test_cheaper_is_left_and_lower_is_down() -> None:
    svg = drawn([at(1, 5, "a"), at(10, 2, "b"), at(100, 3, "c")])
    places = re.findall(r'"translate\(([\d.]+) ([\d.]+)\)" class="mark', svg)
    (ax, ay), (bx, by), (cx, cy) = [(float(x), float(y)) for x, y in places]
    assert bx - ax == pytest.approx(cx - bx, abs=0.2)
    assert ax < bx
    assert (by - ay) / (cy - ay) == pytest.approx(1.5, abs=0.01)
    assert by > ay


def test_labels_do_not_overlap() -> None:
    crowd = [at(10 * 1.01**i, 2 + 0.01 * math.sin(i), f"some-run-{i}") for i in range(60)]
    svg = drawn(crowd)
    boxes = []
    pattern = r'translate\(([\d.]+) ([\d.]+)\)" class="mark.*<text x="([-\d.]+)" y="([-\d.]+)">(.*?)</text>'
    for found in filter(None, (re.search(pattern, mark) for mark in svg.split("</a>"))):
        x, y, dx, dy = map(float, found.groups()[:4])
        boxes.append((x + dx, y + dy - 10, x + dx + 6.9 * len(found[5]), y + dy + 3))
    assert svg.count('class="mark') == 60
    assert 0 < len(boxes) < 60
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[2] <= b[0] + 0.2 or b[2] <= a[0] + 0.2 or a[3] <= b[1] + 0.2 or b[3] <= a[1] + 0.2
