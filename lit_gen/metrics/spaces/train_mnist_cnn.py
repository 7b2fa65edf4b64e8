"""Trains the digit classifier that the package ships: ``python -m lit_gen.metrics.spaces.train_mnist_cnn``.

It must know digits at 28x28 (MNIST) and at 8x8 (scikit-learn's), so half of every batch is shrunk to 8x8 and
back. That half is enlarged too: MNIST leaves a margin of 4 pixels around the digit, the 8x8 digits have none.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.metrics.spaces.feature_space import Features
from lit_gen.metrics.spaces.mnist_cnn import SIZE, DigitNet, digits_to_input


def mnist_split(folder: str, split: str) -> tuple[Tensor, Tensor]:
    """MNIST decoded from a local copy of the hub's data set: uint8 [N, 1, 28, 28] and labels int64 [N]."""
    import datasets
    import numpy as np

    rows = datasets.load_dataset(folder, split=split)
    images = np.stack([np.asarray(image) for image in rows["image"]])
    return torch.from_numpy(images)[:, None], torch.tensor(list(rows["label"]))


def sklearn_digits() -> tuple[Tensor, Tensor]:
    """All 1,797 of scikit-learn's digits, levels 0..16 scaled to 0..255: uint8 [N, 1, 8, 8] and int64 [N]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (torch.from_numpy(bunch.images).float() * 255 / 16).round().to(torch.uint8)
    return x[:, None], torch.from_numpy(bunch.target).long()


def shrink(x: Tensor, size: int = 8) -> Tensor:
    """Images reduced to size x size with antialiasing, floating point [B, 1, size, size]."""
    return F.interpolate(x.float(), size=(size, size), mode="bilinear", align_corners=False, antialias=True)


def random_affine(x: Tensor, scale: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Each image turned by up to 12 degrees, slanted, stretched both ways and shifted by up to 2 pixels.

    Args:
        x: float32 [B, 1, 28, 28].
        scale: range of the enlargement, drawn for each image and for width and height around it.
        generator: the source of all chance.
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(x), generator=generator)

    angle, slant = uniform(-0.21, 0.21), uniform(-0.15, 0.15)
    size = uniform(*scale)
    width, height = 1 / (size * uniform(0.9, 1.1)), 1 / (size * uniform(0.9, 1.1))
    shift = 2 * 2 / SIZE
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([width * cos, width * (slant - sin), uniform(-shift, shift)], dim=1)
    row_y = torch.stack([height * sin, height * cos, uniform(-shift, shift)], dim=1)
    grid = F.affine_grid(torch.stack([row_x, row_y], dim=1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """A batch uint8 [B, 1, 28, 28] as the net is trained on it: half at full size, half through 8x8."""
    images = x.float()
    half = len(images) // 2
    fine = random_affine(images[:half], (0.9, 1.15), generator)
    coarse = shrink(random_affine(images[half:], (0.95, 1.5), generator))
    return torch.cat([digits_to_input(fine), digits_to_input(coarse)])


@torch.no_grad()
def accuracy(net: DigitNet, x: Tensor, label: Tensor) -> float:
    """Share of images classified rightly, in percent."""
    net.eval()
    right = sum(
        int((net(digits_to_input(images)).logits.argmax(1) == truth).sum())
        for images, truth in zip(x.split(500), label.split(500), strict=True)
    )
    return 100 * right / len(x)


def train(x: Tensor, label: Tensor, epochs: int, batch_size: int, lr: float, seed: int) -> DigitNet:
    """A classifier trained with AdamW under a one-cycle schedule; the same seed gives the same weights."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = DigitNet()
    steps = len(x) // batch_size
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.02, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * steps, pct_start=0.2)
    for epoch in range(epochs):
        net.train()
        order = torch.randperm(len(x), generator=generator)
        total, start = torch.zeros(()), time.perf_counter()
        for rows in order[: steps * batch_size].split(batch_size):
            out: Features = net(augment(x[rows], generator))
            loss = F.cross_entropy(out.logits, label[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1}/{epochs}: loss {total / steps:.4f}, {seconds:.0f} s", flush=True)
    return net


def main() -> None:
    """Trains, prints the three accuracies, writes the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with a copy of the hub's ylecun/mnist")
    parser.add_argument("--out", required=True, type=Path, help="file to write the weights to")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not Path(args.data).is_dir():
        parser.error(f"--data: there is no folder {args.data}")

    net = train(*mnist_split(args.data, "train"), args.epochs, args.batch_size, args.lr, args.seed)
    test_x, test_label = mnist_split(args.data, "test")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), args.out)
    print(f"MNIST test: {accuracy(net, test_x, test_label):.2f} %")
    print(f"MNIST test shrunk to 8x8: {accuracy(net, shrink(test_x).round(), test_label):.2f} %")
    print(f"scikit-learn digits (1,797): {accuracy(net, *sklearn_digits()):.2f} %")


if __name__ == "__main__":
    main()
