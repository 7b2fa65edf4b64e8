"""Gated PixelCNN: two stacks without a blind spot, gated activations, and class conditioning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.families.autoregressive.pixelwise import Pixelwise, channels_of
from lit_gen.nets.autoregressive.columns import Columns
from lit_gen.nets.autoregressive.gated_columns import GatedPixelCNNColumns
from lit_gen.nets.autoregressive.gated_pixelcnn_net import GatedPixelCNNNet
from lit_gen.optim import AdamW


class GatedPixelCNN(Pixelwise):
    """Gated PixelCNN: each pixel is conditioned on all pixels above and to the left within reach, and on the class.

    Dilations are not in the paper; they enlarge the receptive field of few layers.

    Args:
        shape: Shape of one example, ``(C, H, W)``; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        channels: Number of channels of each stack, p in the paper; at least C.
        dilations: Dilation of each gated layer; all 1 in the paper.
        head_channels: Number of channels between the two last layers.
        kernel_size: Kernel size of the gated layers; 3 here, 5 in the paper's figure 2.
        first_kernel_size: Kernel size of the first layer.
        num_classes: Number of label classes; 0 means unconditional.
        level_features: Number of learned features per value that are added to the network's input; 0 in the paper.
        temperature: Divisor of the logits of every conditional when sampling.
        optimizer: Optimizer of all parameters.

    References:
        van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu: Conditional Image Generation with PixelCNN
        Decoders, 2016, arXiv:1606.05328, section 2.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        channels: int = 16,
        dilations: Sequence[int] = (1, 1),
        head_channels: int = 32,
        kernel_size: int = 3,
        first_kernel_size: int = 7,
        num_classes: int = 0,
        level_features: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        num_channels = channels_of(type(self).__name__, shape)
        if num_classes < 0:
            raise UserError(f"{type(self).__name__}: num_classes={num_classes} must not be negative")
        net = GatedPixelCNNNet(
            num_channels,
            num_levels,
            channels,
            dilations,
            head_channels,
            kernel_size,
            first_kernel_size,
            num_classes,
            level_features,
        )
        super().__init__(
            shape,
            num_levels,
            net,
            level_features=level_features,
            num_classes=num_classes,
            temperature=temperature,
            optimizer=optimizer,
        )

    @override
    def levels_last(self, x: Tensor, label: Tensor | None) -> Tensor:
        return cast(Tensor, self.net(x, label))

    @override
    def columns(self, batch_size: int, label: Tensor | None) -> Columns:
        return GatedPixelCNNColumns(cast(GatedPixelCNNNet, self.net), batch_size, self.shape[2], label)

    @override
    def hidden_weights(self) -> list[nn.Parameter]:
        """All weights except those of the first and the last layer."""
        net = cast(GatedPixelCNNNet, self.net)
        inside = [*net.layers.parameters(), net.head.weight]
        return [p for p in inside if p.ndim == 4]
