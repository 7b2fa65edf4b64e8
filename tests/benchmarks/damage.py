"""Features of real pictures and of damaged ones, computed once."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.data import HubImages, HubSource, Split, Splits, Transform
from lit_gen.metrics import EfficientNetLite0, Features

COPIED = 3  # classes that are left of a collapsed sampler


def noise(x: Tensor, deviation: float = 8.0) -> Tensor:
    """Adds Gaussian noise, of this deviation in 0..255."""
    drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    return (x + deviation * drawn).round().clamp(0, 255).to(torch.uint8)


def blur(x: Tensor, deviation: float = 1.0) -> Tensor:
    """Blurs with a Gaussian of this deviation in pixels."""
    place = torch.arange(-3.0, 4.0)
    row = (-(place**2) / (2 * deviation**2)).exp()
    kernel = (row[:, None] * row / row.sum() ** 2).expand(x.shape[1], 1, 7, 7)
    padded = F.pad(x.float(), (3, 3, 3, 3), mode="reflect")
    return F.conv2d(padded, kernel, groups=x.shape[1]).round().clamp(0, 255).to(torch.uint8)


def photographs(shelf: Path) -> tuple[Split, Split]:
    """Training and test split of the re-compressed CIFAR-10."""
    data = HubImages(
        "cifar10_jpeg", "cifar10_jpeg", Transform(32, 3), HubSource(root=str(shelf)), splits=Splits(num_val=5000)
    )
    data.prepare_data()
    data.setup("fit")
    return data.split("train"), data.split("test")


def sets(shelf: Path, n: int, damaged: int) -> dict[str, Callable[[], Tensor]]:
    """The pictures by name: n references, n held-out real ones, and a number of each damage."""
    train, test = photographs(shelf)
    assert train.label is not None
    few = train.x[n:][(train.label[n:] < COPIED)]
    return {
        "reference": lambda: train.x[:n],
        "real": lambda: test.x[:n],
        "noise": lambda: noise(test.x[:damaged]),
        "blur": lambda: blur(test.x[:damaged]),
        "collapse": lambda: few[:damaged],
    }


def features(shelf: Path, folder: Path, n: int, damaged: int) -> dict[str, Features]:
    """Features and logits of all sets, kept in a folder; of the copies' set too, half of it references."""
    space, found = EfficientNetLite0(), {}
    for name, pictures in sets(shelf, n, damaged).items():
        path = folder / f"{name}-{n if name in ('reference', 'real') else damaged}.pt"
        if not path.is_file():
            parts = [space(part) for part in pictures().split(256)]
            features, logits = (torch.cat(part) for part in zip(*parts, strict=True))
            folder.mkdir(parents=True, exist_ok=True)
            torch.save({"features": features, "logits": logits}, path)
        loaded = torch.load(path, weights_only=True)
        # The files hold classes in turns of ten, which are the groups of the jackknife, or odd and even rows.
        order = torch.randperm(len(loaded["features"]), generator=torch.Generator().manual_seed(1))
        found[name] = Features(loaded["features"][order], loaded["logits"][order])
    # Ten by ten, so that half of the first m are copies, and half of each group of the jackknife.
    copied = (torch.arange(n) // 10 % 2 == 0)[:, None]
    found["copies"] = Features(*(
        torch.where(copied, a, b) for a, b in zip(found["reference"], found["real"], strict=True)
    ))
    return found


def shown(value: float, error: float) -> str:
    """A value with its error in two digits."""
    digits = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 3
    return f"{value:.{digits}f}±{error:.{digits}f}"
