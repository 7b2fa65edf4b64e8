"""Where the points land, which form the frontier, and that labels keep clear of one another."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest

from lit_gen.leaderboard.label_placement import place_labels
from lit_gen.leaderboard.plot import Axis, Point, draw, fit_axis, frontier, near


def at(x: float, y: float, label: str = "run", shape: str = "plain", curve: str = "") -> Point:
    return Point(x, y, label, f"{label}: {x} {y}", 0, shape, f"s0-{label}", curve)


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


def test_a_baseline_far_away_does_not_flatten_the_drawing() -> None:
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


def test_a_curve_joins_its_points_from_cheap_to_expensive_and_is_named_once() -> None:
    """Given in the order of merit, as a cell has them: the cheapest is not the worst here."""
    svg = drawn([at(100, 2, "a", curve="x"), at(1, 3, "a", curve="x"), at(10, 9, "a", curve="x"), at(50, 5, "a"),
                 at(30, 7, "b", curve="x")])
    places = re.findall(r'"translate\(([\d.]+) ([\d.]+)\)" class="mark', svg)
    lines = re.findall(r'<polyline points="([^"]*)" class="curve shade0">', svg)
    assert lines == [" ".join(",".join(places[i]) for i in (1, 2, 0))]
    assert sorted(re.findall(r'<text x="[-\d.]+" y="[-\d.]+">(\w)</text></g></a>', svg)) == ["a", "a", "b"]


def test_labels_keep_clear_of_lines_and_rather_touch_their_own() -> None:
    frame = (0.0, 0.0, 200.0, 100.0)
    right, left = (10, 4), (-10 - 6.9 * 4, 4)
    point, level = (100.0, 50.0), ((100.0, 50.0), (190.0, 50.0))
    assert place_labels([point], [("name", [0])], [], frame) == {0: right}
    assert place_labels([point], [("name", [0])], [level], frame) == {0: left}
    beside = ((100.0, 70.0), (190.0, 70.0))
    assert place_labels([point], [("name", [0])], [beside], frame) == {0: right}
    hatch = [((0.0, y), (200.0, y)) for y in range(100)]
    assert place_labels([point], [("name", [0])], hatch, frame) == {0: right}
    upright = [(point, (100.0, 0.0)), (point, (100.0, 100.0))]
    others = [((x, 50.5), (x + 80.0, 50.5)) for x in (10.0, 110.0)]
    assert place_labels([point], [("name", [0])], [*upright, *others], frame) == {0: (-6.9 * 4 / 2, -11)}


def test_a_label_without_room_at_one_point_of_its_curve_stands_at_another() -> None:
    frame = (0.0, 0.0, 200.0, 100.0)
    crowd = [(170.0 + 7 * (i % 3), 30.0 + 9 * (i // 3)) for i in range(15)]
    points = [(180.0, 50.0), (20.0, 50.0), *crowd]
    assert place_labels(points, [("a long name", [0, 1])], [], frame) == {1: (10, 4)}
    assert place_labels(points, [("a name longer than the whole frame", [0, 1])], [], frame) == {}


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
