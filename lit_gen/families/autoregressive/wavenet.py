"""WaveNet: dilated causal convolutions over audio, or any other sequence."""

from __future__ import annotations

from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.families.autoregressive.sequence import Cache, SequenceModel
from lit_gen.nets import DilatedConvNet, WaveNetQueues
from lit_gen.optim import AdamW


class WaveNet(SequenceModel):
    """WaveNet: a softmax over the values of the next sample, by dilated causal convolutions of the previous ones.

    The paper's 256 values of an 8-bit mu-law are the data's own. Any shape is read as one sequence, images pixel by
    pixel. The class modulates all gates, the paper's global conditioning. Residual connections have no bias, because
    the next layer has one. The paper does not give its widths. Sampling uses queues of the layers' inputs.

    Args:
        shape: Shape of one example, ``[1, T]`` or ``[T]`` for audio; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_blocks: Number of repetitions of the dilations; 3 in the paper's example.
        layers_per_block: Number n of dilations 1, 2, 4 ... ``2^(n-1)``; 10 in the paper.
        channels: Number of channels of the residual stream and the gates.
        skip_channels: Number of channels of the skip connections and the head.
        num_classes: Number of label classes; 0 means unconditional.
        temperature: Divisor of the logits of every conditional when sampling.
        optimizer: Optimizer of all parameters.

    References:
        van den Oord et al.: WaveNet: A Generative Model for Raw Audio, 2016, arXiv:1609.03499.
        Paine et al.: Fast WaveNet Generation Algorithm, 2016, arXiv:1611.09482.
    """

    net: DilatedConvNet

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_blocks: int = 2,
        layers_per_block: int = 2,
        channels: int = 16,
        skip_channels: int = 32,
        num_classes: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        super().__init__(
            shape, num_levels, num_classes=num_classes, temperature=temperature, optimizer=optimizer
        )
        self.net = DilatedConvNet(num_levels, num_blocks, layers_per_block, channels, skip_channels, num_classes)

    def cache(self, batch_size: int, label: Tensor | None) -> Cache:
        """The queues of the layers' inputs."""
        return WaveNetQueues(self.net, batch_size, self.num_dims, label)

    @override
    def hidden_weights(self) -> list[nn.Parameter]:
        """All weights except the embeddings and the last layer."""
        inside = [self.net.layers, self.net.carries, self.net.skip, self.net.hidden]
        return [p for module in inside for p in module.parameters() if p.ndim > 1]
