"""The layout of rows."""

from __future__ import annotations

import pytest
import torch

from lit_gen.media.rows import row_picture


@pytest.mark.parametrize(("num_rows", "num_columns", "side", "channels"), [(1, 4, 8, 1), (17, 3, 5, 3), (2, 3, 70, 1)])
def test_every_image_is_in_the_picture_once_and_the_framed_ones_are_framed(
    num_rows: int, num_columns: int, side: int, channels: int
) -> None:
    # Each image has a grey of its own, that is no paper and no frame.
    greys = torch.arange(1, num_rows * num_columns + 1, dtype=torch.uint8).view(num_rows, num_columns, 1, 1, 1)
    canvas = row_picture(greys.expand(-1, -1, channels, side, side), framed=(0,)).int()
    scale = max(1, 64 // side)
    for row in range(num_rows):
        for column in range(num_columns):
            inside = (canvas == greys[row, column].item()).all(2)
            assert int(inside.sum()) == (side * scale) ** 2
            top, left = (int(inside.any(axis).nonzero()[0]) for axis in (1, 0))
            ring = canvas[top - 1, left - 1]
            assert (ring.tolist() == [255, 255, 255]) == (column > 0), "only what is asked for is framed"
    paper = (canvas == 255).all(2)
    assert paper[0].all()
    assert paper[-1].all()
    assert paper[:, 0].all()
    assert paper[:, -1].all()
