"""PixelCNN: masked convolutions in residual blocks."""

from __future__ import annotations

from typing import cast

from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.families.autoregressive.pixelwise import Pixelwise, channels_of
from lit_gen.nets.autoregressive.columns import Columns
from lit_gen.nets.autoregressive.pixelcnn_net import PixelCNNColumns, PixelCNNNet
from lit_gen.optim import AdamW


class PixelCNN(Pixelwise):
    """PixelCNN: each pixel is conditioned on a triangle above and to the left, each channel on the previous ones.

    Pixels to the upper right can be in a blind spot, as in the paper: see :class:`GatedPixelCNN`.

    Args:
        shape: Shape of one example, ``(C, H, W)``; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        channels: Number of channels inside a residual block, h in the paper; there are twice as many between blocks.
            At least C.
        num_blocks: Number of residual blocks; 15 in the paper, with h = 16 for MNIST and 128 for CIFAR-10.
        head_channels: Number of channels between the two last layers; 32 in the paper for MNIST, 1,024 for CIFAR-10.
        kernel_size: Kernel size of the first convolution; 7 in the paper.
        level_features: Number of learned features per value that are added to the network's input; 0 in the paper.
        temperature: Divisor of the logits of every conditional when sampling.
        optimizer: Optimizer of all parameters.

    References:
        van den Oord, Kalchbrenner, Kavukcuoglu: Pixel Recurrent Neural Networks, 2016, arXiv:1601.06759,
        sections 3.3 to 3.5.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        channels: int = 16,
        num_blocks: int = 2,
        head_channels: int = 32,
        kernel_size: int = 7,
        level_features: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        num_channels = channels_of(type(self).__name__, shape)
        net = PixelCNNNet(num_channels, num_levels, channels, num_blocks, head_channels, kernel_size, level_features)
        super().__init__(
            shape,
            num_levels,
            net,
            level_features=level_features,
            num_classes=0,
            temperature=temperature,
            optimizer=optimizer,
        )

    @override
    def levels_last(self, x: Tensor, label: Tensor | None) -> Tensor:
        return cast(Tensor, self.net(x))

    @override
    def columns(self, batch_size: int, label: Tensor | None) -> Columns:
        return PixelCNNColumns(cast(PixelCNNNet, self.net), batch_size, self.shape[2])

    @override
    def hidden_weights(self) -> list[nn.Parameter]:
        """All weights except those of the first and the last layer."""
        net = cast(PixelCNNNet, self.net)
        inside = [*net.blocks.parameters(), net.head.weight]
        return [p for p in inside if p.ndim == 4]
