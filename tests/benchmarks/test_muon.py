"""A step of our Muon against torch's, for the hidden weights of two recipes.

    python -m pytest tests/benchmarks/test_muon.py -m benchmark -n 0 -s

One thread; the two take turns, one step each. torch's takes matrices alone, and is given the convolutions flattened.
"""

from __future__ import annotations

import time
from statistics import median, quantiles

import pytest
import torch
from torch import nn

from lit_gen.families import GatedPixelCNN, PixelCNN
from lit_gen.optim import Muon

ROUNDS = 30
NETS = {
    "mnist/pixelcnn": lambda: PixelCNN((1, 28, 28), 2, channels=16, num_blocks=15, head_channels=32),
    "mnist/gated_pixelcnn": lambda: GatedPixelCNN(
        (1, 28, 28), 256, channels=32, dilations=(1, 2, 1, 4, 1, 2, 1), head_channels=64
    ),
}


@pytest.mark.benchmark
@pytest.mark.parametrize("name", NETS)
def test_steps(name: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    hidden = NETS[name]().hidden_weights()
    flat = [nn.Parameter(p.detach().flatten(1).clone()) for p in hidden]
    contestants = {
        "ours": Muon([{"params": hidden, "hidden": True}], lr=1e-4),
        "torch": torch.optim.Muon(flat, lr=1e-4, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    }
    for p in [*hidden, *flat]:
        p.grad = torch.randn_like(p)
    taken: dict[str, list[float]] = {each: [] for each in contestants}
    for _ in range(ROUNDS + 1):
        for each, optimizer in contestants.items():
            since = time.perf_counter()
            optimizer.step()
            taken[each].append(time.perf_counter() - since)
    torch.set_num_threads(threads)
    ours, torchs = (1e3 * median(taken[each][1:]) for each in ("ours", "torch"))
    ratios = [b / a for a, b in zip(taken["ours"][1:], taken["torch"][1:], strict=True)]
    low, _, high = quantiles(ratios, n=4)
    print(
        f"\n{name}, {len(hidden)} weights, medians of {ROUNDS}: ours {ours:.1f} ms, torch's {torchs:.1f} ms; torch's"
        f" / ours {median(ratios):.2f} (quartiles {low:.2f}, {high:.2f})"
    )
    assert median(ratios) > 1
