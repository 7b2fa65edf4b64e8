"""A small classifier of handwritten digits whose weights ship with the package.

Trained on MNIST's 60,000 training images alone, by

    OMP_NUM_THREADS=1 python -m lit_gen.metrics.spaces.train_mnist_cnn --data DIR/ylecun/mnist --out mnist_cnn.pt

(8 epochs, seed 0, about 10 minutes on one CPU core). It then reads rightly 99.55 % of MNIST's test images,
98.72 % of them shrunk to 8x8, and 97.77 % of scikit-learn's 1,797 digits of 8x8, of which it has seen none.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace, sha256_of_file

WEIGHTS = Path(__file__).parent / "weights" / "mnist_cnn.pt"
SIZE = 28


def digits_to_input(x: Tensor) -> Tensor:
    """Images of any size as the net sees them: grey, 28x28, about zero mean and unit variance on MNIST.

    Shrinking is antialiased, enlarging is plain bilinear.

    Args:
        x: [B, C, H, W], values in 0..255, C of 1 or 3.

    Returns:
        float32 [B, 1, 28, 28].
    """
    grey = x.float().mean(dim=1, keepdim=True) / 255
    if grey.shape[-2:] != (SIZE, SIZE):
        grey = F.interpolate(grey, size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
    return (grey - 0.1307) / 0.3081


def conv_block(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class DigitNet(nn.Module):
    """Six 3x3 convolutions over 28, 14 and 7 pixels, an average over the map, ten classes."""

    def __init__(self, num_features: int = 64) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            conv_block(1, 16),
            conv_block(16, 32, stride=2),
            conv_block(32, 64),
            conv_block(64, 64, stride=2),
            conv_block(64, 64),
            conv_block(64, num_features),
        )
        self.classify = nn.Linear(num_features, 10)

    def forward(self, x: Tensor) -> Features:
        """Features and logits of float32 [B, 1, 28, 28]."""
        features = self.convs(x).mean(dim=(2, 3))
        return Features(features, self.classify(features))


class MnistCNN(FeatureSpace):
    """Features of a classifier trained on MNIST's training split; a useful space for digits alone."""

    name = "mnist_cnn"
    internal_batch = 125
    grey_only = True

    def __init__(self) -> None:
        super().__init__()
        self.sha256 = sha256_of_file(WEIGHTS)
        self.num_features, self.num_classes = 64, 10
        # The initial weights are thrown away, and must not move the training's generator.
        with torch.random.fork_rng(devices=[]):
            self.net = DigitNet(self.num_features)
        self.net.load_state_dict(torch.load(WEIGHTS, map_location="cpu", weights_only=True))
        self.requires_grad_(False)
        self.eval()

    def extract(self, x: Tensor) -> Features:
        """Features of uint8 [125, C, H, W]."""
        return self.net(digits_to_input(x))
