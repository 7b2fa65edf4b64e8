"""Placing the labels of a drawing without overlaps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence, Set

_CHARACTER, _LINE = 6.9, 13  # of a label of 11.5 px, in user units, in a wide typeface
_CLOSE = 7  # so close to a line, a label would be read as its name
_SQUARE = 28  # side of the squares by which boxes are found

Place = tuple[float, float]
Line = tuple[Place, Place]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def place_labels(
    points: Sequence[Place], labels: Sequence[tuple[str, Sequence[int]]], lines: Sequence[Line], frame: Box
) -> dict[int, Place]:
    """Offset of each label's left end from its point, by the point's index.

    Args:
        points: Coordinates of all marks; labels avoid them, the frame and one another.
        labels: Each text with the indices of its possible points, the preferred one first.
        lines: Lines between points; labels avoid them if possible.
        frame: Box that labels must stay within.

    Returns:
        One entry per label; none for a label that fits at none of its points.
    """
    taken = _Boxes((px - 7, py - 7, px + 7, py + 7) for px, py in points)
    placed: dict[int, Place] = {}
    for text, candidates in labels:
        width = _CHARACTER * len(text)
        choices = [(_box(points[i], offset, width), i, offset) for i in candidates for offset in _offsets(width)]
        free = [choice for choice in choices
                if _within(choice[0], frame) and not taken.touch(choice[0])]
        if free:
            own = {points[i] for i in candidates}
            box, i, placed[i] = min(free, key=lambda choice: _doubt(choice[0], lines, own))
            taken.add(box)
    return placed


class _Boxes:
    """Boxes, found by the squares that they lie in: a label is near few of thousands of marks."""

    def __init__(self, boxes: Iterable[Box]) -> None:
        self._squares: dict[tuple[int, int], list[Box]] = {}
        for box in boxes:
            self.add(box)

    def add(self, box: Box) -> None:
        for square in self._of(box):
            self._squares.setdefault(square, []).append(box)

    def touch(self, box: Box) -> bool:
        """Whether a box overlaps one of these."""
        return any(_overlap(box, other) for square in self._of(box) for other in self._squares.get(square, ()))

    @staticmethod
    def _of(box: Box) -> Iterator[tuple[int, int]]:
        left, top, right, bottom = (math.floor(edge / _SQUARE) for edge in box)
        return ((x, y) for x in range(left, right + 1) for y in range(top, bottom + 1))


def _box(point: Place, offset: Place, width: float) -> Box:
    left, base = point[0] + offset[0], point[1] + offset[1]
    return left, base - _LINE + 3, left + width, base + 3


def _offsets(width: float) -> Sequence[Place]:
    return ((10, 4), (-10 - width, 4), (-width / 2, -11), (-width / 2, 20), (8, -8), (8, 16), (-8 - width, -8),
            (-8 - width, 16))


def _within(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _doubt(box: Box, lines: Sequence[Line], own: Set[Place]) -> int:
    """Penalty of a label's position: it should not cover its own curve, nor be close to another's."""
    return sum(1 if line[0] in own else 2 for line in lines if _touches(line, box))


def _touches(line: Line, box: Box) -> bool:
    """Whether a line crosses a box, or passes so close that the label could be read as the line's."""
    (ax, ay), (bx, by) = line
    box = (box[0] - _CLOSE, box[1] - _CLOSE, box[2] + _CLOSE, box[3] + _CLOSE)
    if not _overlap((min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)), box):
        return False
    # It does unless all corners are on one side of it.
    return len({(bx - ax) * (y - ay) > (by - ay) * (x - ax) for x in box[::2] for y in box[1::2]}) == 2
