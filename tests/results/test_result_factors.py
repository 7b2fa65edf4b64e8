"""The measured table of ``docs/protocol.md`` is of ``fid_factors.json``, whose rows are those of the script."""

from __future__ import annotations

import json

import torch
from results_scripts import fid_factors

from lit_gen.metrics.spaces.efficientnet_lite0 import SHA256


def test_the_table_is_up_to_date() -> None:
    assert fid_factors.main(["--check"]) == 0
    found = json.loads(fid_factors.RESULTS.read_text())
    assert [row["label"] for row in found["rows"]] == [label for label, *_ in fid_factors.ROWS]
    assert (found["sha256"], found["samples"], found["reference"]) == (SHA256, 2000, 4000)
    page = fid_factors.PAGE.read_text()
    assert fid_factors.table(found) in page
    found["rows"][0]["fd"] += 1
    assert fid_factors.table(found) not in page


def test_each_change_changes_what_it_says() -> None:
    x = torch.randint(256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert fid_factors.rounded(torch.tensor([-3.0, 0.6, 254.4, 300.0])).tolist() == [0, 1, 254, 255]
    lost = [(fid_factors.as_jpeg(x, quality).float() - x.float()).abs().mean() for quality in (75, 95)]
    assert lost[0] > lost[1] > 0
    flat = torch.full((1, 3, 32, 32), 77, dtype=torch.uint8)
    assert (fid_factors.reduced(flat, True) == 77).all()
    smooth, aliased = (fid_factors.reduced(x, antialias).float().std() for antialias in (True, False))
    assert smooth < aliased, "antialiasing averages more pixels of noise"
