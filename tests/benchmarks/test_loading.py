"""How fast batches reach the step, against ``datasets`` per item and torchvision's DataLoader, in one run.

    python -m pytest tests/benchmarks/test_loading.py -m benchmark -n 0 -s

All three end with float32 batches in [-1, 1] of 128 images of 28x28. Contestants take turns in one process with one
thread; the figure is the median of the ratios turn by turn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.sets import RandomImages, random_images
from lit_gen.quantization import to_symmetric

pytestmark = pytest.mark.benchmark
NUM, ROUNDS = 20_000, 5


def ours() -> Callable[[], Iterable[torch.Tensor]]:
    loader = _loader()
    return lambda: (to_symmetric(batch.x, 256) for batch in loader)


def _loader() -> Iterable:
    from lit_gen.data import SliceLoader

    return SliceLoader(RandomImages(NUM, num_levels=256).split("train").x, batch_size=128, shuffle=True)


def torchvision_loader(root: Path) -> Callable[[], Iterable[torch.Tensor]]:
    """MNIST as torchvision's class gives it: PIL images through ToTensor, item by item."""
    from torchvision.datasets import MNIST
    from torchvision.transforms import Compose, Normalize, ToTensor

    class Local(MNIST):
        def __init__(self) -> None:  # the class as it is, without its download
            self.data, self.targets = random_images(NUM, (28, 28), 256), torch.zeros(NUM, dtype=torch.long)
            self.transform, self.target_transform = Compose([ToTensor(), Normalize(0.5, 0.5)]), None

    loader = torch.utils.data.DataLoader(Local(), batch_size=128, shuffle=True)
    return lambda: (x for x, _ in loader)


def datasets_per_item(root: Path) -> Callable[[], Iterable[torch.Tensor]]:
    """An image set of the hub with ``with_format("torch")``, batched by a DataLoader: PNGs decoded item by item."""
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    images = [Image.fromarray(x.numpy()) for x in random_images(2_000, (28, 28), 256)]
    features = Features({"image": ImageFeature(), "label": Value("int64")})
    data = Dataset.from_dict({"image": images, "label": [0] * len(images)}, features=features).with_format("torch")
    loader = torch.utils.data.DataLoader(data, batch_size=128, shuffle=True)
    return lambda: (batch["image"].float() / 127.5 - 1 for batch in loader)


def rate(batches: Iterable[torch.Tensor]) -> float:
    since, seen = time.perf_counter(), 0
    for x in batches:
        seen += len(x)
    return seen / (time.perf_counter() - since)


@pytest.mark.parametrize(
    ("peer", "goal"), [(torchvision_loader, 13), (datasets_per_item, 45)], ids=["torchvision", "datasets"]
)
def test_batches(peer: Callable[[Path], Callable[[], Iterable[torch.Tensor]]], goal: float, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    theirs, mine = peer(tmp_path), ours()
    rate(mine()), rate(theirs())  # warm
    pairs = [(rate(mine()), rate(theirs())) for _ in range(ROUNDS)]
    ratios = [a / b for a, b in pairs]
    print(
        f"\nbatches, lit_gen / {peer.__name__}: {statistics.median(a for a, _ in pairs):,.0f} against"
        f" {statistics.median(b for _, b in pairs):,.0f} images/s; ratio {statistics.median(ratios):.0f}"
        f" (of {ROUNDS}: {min(ratios):.0f} to {max(ratios):.0f})"
    )
    assert statistics.median(ratios) >= goal
