"""Tests of the groups of dependent windows."""

import pytest
import torch

from lit_gen.data.windows import Windows, window_groups


def windows(*counts: int) -> Windows:
    return Windows([torch.zeros(4 * count + 1, dtype=torch.uint8) for count in counts], 4)


def test_windows_of_many_recordings_are_grouped_by_recording() -> None:
    group, name = window_groups(windows(*[1, 2, 3] * 10), "recording")
    assert name == "recording"
    assert group is not None
    assert group.bincount().tolist() == [1, 2, 3] * 10


@pytest.mark.parametrize("counts", [[1] * 50, [19], [3, 4]])
def test_windows_that_are_too_few_or_alone_have_no_groups(counts: list[int]) -> None:
    assert window_groups(windows(*counts), "recording") == (None, "example")


def test_one_long_text_is_cut_into_about_twenty_blocks() -> None:
    group, name = window_groups(windows(1000), "text")
    assert name == "block of 50 windows"
    assert group is not None
    assert group.diff().unique().tolist() == [0, 1]
    assert group.bincount().tolist() == [50] * 20


def test_no_block_crosses_the_end_of_a_text() -> None:
    several = windows(100, 55, 7)
    group, name = window_groups(several, "text")
    assert name == "block of 9 windows"
    assert group is not None
    for block in group.unique():
        assert len(several.piece[group == block].unique()) == 1
