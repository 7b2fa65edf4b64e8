"""Thousands of records: the table and the page, in time and memory."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO

from lit_gen.leaderboard.label_placement import _box, _offsets, _overlap, _within, place_labels
from lit_gen.leaderboard.plot import MOST_NAMED, Point, draw

from .many_records import write_many

_MEASURED = """
import resource, sys, time
from lit_gen.leaderboard.__main__ import main
main(sys.argv[1:])
print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
"""


def taken(root: Path, *options: str) -> tuple[float, float]:
    """Seconds of a processor and MiB of memory that the command takes."""
    done = subprocess.run([sys.executable, "-c", _MEASURED, str(root), *options], cwd=REPO, text=True,
                          capture_output=True, check=True)
    seconds, memory = done.stderr.split()[-2:]
    return float(seconds), float(memory)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 5])
def test_five_thousand_records_take_five_seconds_and_500_mb(seeds: int, tmp_path: Path) -> None:
    write_many(tmp_path / "runs", 5000, seeds)
    for options in ((), ("--html", str(tmp_path / "page.html"))):
        measured = [taken(tmp_path / "runs", *options) for _ in range(3)]
        assert min(seconds for seconds, _ in measured) < 5
        assert max(memory for _, memory in measured) < 500


def test_the_cost_of_a_page_grows_with_its_rows_and_not_with_their_square(tmp_path: Path) -> None:
    write_many(tmp_path / "few", 150)
    write_many(tmp_path / "many", 600)
    few, many = (min(taken(tmp_path / name, "--html", str(tmp_path / "page.html"))[0] for _ in range(2))
                 for name in ("few", "many"))
    assert many < 6 * few  # 16 times if it were quadratic; start-up makes it less than 4 times


def test_labels_are_placed_as_by_looking_at_all_boxes() -> None:
    rng, frame = random.Random(0), (0.0, 0.0, 760.0, 420.0)
    points = [(rng.uniform(0, 760), rng.uniform(0, 420)) for _ in range(150)]
    labels = [(f"run-{i}" * rng.randint(1, 3), [i]) for i in range(150)]
    boxes = [(x - 7, y - 7, x + 7, y + 7) for x, y in points]
    expected = {}
    for text, (i,) in labels:
        width = 6.9 * len(text)
        for offset in _offsets(width):
            box = _box(points[i], offset, width)
            if _within(box, frame) and not any(_overlap(box, other) for other in boxes):
                expected[i] = offset
                boxes.append(box)
                break
    assert place_labels(points, labels, [], frame) == expected


def test_a_crowd_is_drawn_whole_and_only_its_frontier_is_named() -> None:
    points = [Point(1.0 + i, 1000.0 - i if i % 100 == 0 else 2000.0 + i, f"run-{i}", "", 0, "exact", f"s-{i}")
              for i in range(MOST_NAMED + 100)]
    svg = draw(points, [], x_title="", y_title="", x_figure=str, x_round=(), higher_is_better=False, log_y=False)
    assert svg.count('class="mark') == 5
    assert svg.count("h0") == MOST_NAMED + 95
