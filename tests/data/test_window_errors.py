"""The error over recordings, or blocks of a long text, on real data: that of windows alone is far too small."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lit_gen.contract import ExampleValues
from lit_gen.data import HubAudio, HubSource, HubText, Splits
from lit_gen.data.sequences import SequenceDataModule
from lit_gen.likelihood import Likelihood
from lit_gen.scoring.uncertainty import mean_nats


def bigram_nats(data: SequenceDataModule, split: str) -> Tensor:
    """Nats of each window under the frequencies of pairs in the training split, ``[N]``."""
    train, x = (data.split(name).x.flatten(1).long() for name in ("train", split))
    counts = torch.full((data.num_levels, data.num_levels), 0.02)
    pairs = train[:, :-1].flatten(), train[:, 1:].flatten()
    counts.index_put_(pairs, torch.ones(len(pairs[0])), accumulate=True)
    return -torch.log(counts / counts.sum(1, keepdim=True))[x[:, :-1], x[:, 1:]].sum(1)


def bootstrap_error(nats: Tensor, group: Tensor) -> float:
    """Standard deviation of the mean over resampled groups."""
    members = group.unique(return_inverse=True)[1]
    sums = torch.zeros(int(members.max()) + 1, dtype=torch.float64).index_add_(0, members, nats.double())
    counts = members.bincount().double()
    rows = torch.randint(len(sums), (4000, len(sums)), generator=torch.Generator().manual_seed(0))
    return float((sums[rows].sum(1) / counts[rows].sum(1)).std())


@pytest.mark.slow
@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("name", ["spoken digits", "tiny shakespeare"])
def test_the_error_over_groups_is_the_bootstraps(name: str, split: str, shelf: Path) -> None:
    """``python -m pytest tests/data/test_window_errors.py -m slow -n 0 -s`` prints the errors in bits per dimension."""
    hub = HubSource(root=str(shelf))
    data: SequenceDataModule = (
        HubAudio("fsdd", "digits", 8000, 1024, hub=hub, splits=Splits(num_val=300))
        if name == "spoken digits"
        else HubText("karpathy/tiny_shakespeare", "text", 128, hub=hub)
    )
    part, nats, values = data.split(split), bigram_nats(data, split), ExampleValues()
    assert part.group is not None
    values.update(torch.arange(len(nats)), [Likelihood(nats, "exact", "bigram")])
    values.finish(lambda tensor, how: tensor)
    printed, alone = mean_nats(values, part.group, part.group_name), mean_nats(values, None)
    found = bootstrap_error(nats, part.group)
    bits = 1 / (data.length * 0.6931)
    print(
        f"{name}, {split}: printed {bits * printed.standard_error:.4f} over {printed.parts.num_groups} (one is a "
        f"{part.group_name}), bootstrap {bits * found:.4f}, {len(nats)} independent windows "
        f"{bits * alone.standard_error:.4f}"
    )
    assert printed.standard_error == pytest.approx(found, rel=0.06)
    assert printed.standard_error > 1.3 * alone.standard_error
