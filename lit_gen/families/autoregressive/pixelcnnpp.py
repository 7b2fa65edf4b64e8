"""PixelCNN++: convolutions in two streams, and a mixture of logistics for each pixel."""

from __future__ import annotations

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.families.autoregressive.autoregressive import Autoregressive
from lit_gen.families.autoregressive.conditionals import Conditionals
from lit_gen.families.autoregressive.mixture import PixelMixture, num_parameters
from lit_gen.nets.autoregressive.pixelcnnpp_cache import PixelCNNppCache
from lit_gen.nets.autoregressive.pixelcnnpp_net import PixelCNNppNet, check_sides
from lit_gen.optim import AdamW
from lit_gen.quantization import to_symmetric

_PIXELS_AT_ONCE = 4_096


class PixelCNNpp(Autoregressive):
    """PixelCNN++: each pixel is a discretized mixture of logistics, given the previous pixels.

    Weights are normalized, and initialized from one batch of training data; unlike in the authors' code, without
    dropout, so that they depend on the batch only. Sampling uses cached activations, with one pass of the network for
    all channels of a pixel. Height and width must be even before each downsampling.

    Args:
        shape: Shape of one image ``(C, H, W)``; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_filters: Number of channels of the network; 160 in the paper.
        num_resnet: Number of residual blocks per resolution; 5 in the paper.
        num_scales: Number of resolutions; 3 in the paper.
        num_components: Number of mixture components; 10 in the paper.
        dropout: Dropout rate in the residual blocks; 0.5 in the paper.
        num_classes: Number of label classes; 0 means unconditional.
        temperature: Divisor of the logits of every conditional when sampling.
        optimizer: Optimizer of all parameters.

    Raises:
        UserError: If the data are not images, or cannot be downsampled so often, or a size is too small.

    References:
        Salimans, Karpathy, Chen, Kingma: PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
        Likelihood and Other Modifications, 2017, arXiv:1701.05517.
        Ramachandran et al.: Fast Generation for Convolutional Autoregressive Models, 2017, arXiv:1704.06001.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_filters: int = 16,
        num_resnet: int = 1,
        num_scales: int = 1,
        num_components: int = 5,
        dropout: float = 0.0,
        num_classes: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        super().__init__(
            shape, num_levels, num_classes=num_classes, temperature=temperature, optimizer=optimizer
        )
        if len(self.shape) != 3:
            raise UserError(f"PixelCNNpp models images [C, H, W], not examples of shape {list(self.shape)}")
        if num_components < 1:
            raise UserError(f"PixelCNNpp: num_components={num_components} must be at least 1")
        C, H, W = self.shape
        check_sides(H, W, num_scales)
        self.net = PixelCNNppNet(
            C, num_parameters(C, num_components), num_filters, num_resnet, num_scales, num_classes, dropout
        )

    def _mixture(self, parameters: Tensor) -> PixelMixture:
        return PixelMixture(parameters, self.shape[0], self.num_levels)

    def _pixels(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mixture parameters and integers of all pixels of all images: ``[B H W, num_parameters]``, ``[B H W, C]``."""
        parameters = self.net(to_symmetric(x, self.num_levels), label)
        return parameters.permute(0, 2, 3, 1).flatten(0, 2), x.permute(0, 2, 3, 1).flatten(0, 2)

    @override
    def log_prob(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Evaluates only the values of x instead of all logits."""
        parameters, levels = self._pixels(x, label)
        return self._mixture(parameters).log_prob(levels).unflatten(0, (len(x), -1)).sum(1)

    @override
    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """The logits are log-probabilities."""
        each = []
        for parameters, levels in zip(*(t.split(_PIXELS_AT_ONCE) for t in self._pixels(x, label)), strict=True):
            mixture = self._mixture(parameters)
            each.append(torch.stack([mixture.level_log_probs(c, levels) for c in range(self.shape[0])], 1))
        C, H, W = self.shape
        return torch.cat(each).view(len(x), H, W, C, self.num_levels).permute(0, 4, 3, 1, 2)

    @override
    def conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """Conditionals with cached activations."""
        return _PixelByPixel(self, batch_size, label)

    # -------------------------------------------------------------- training

    def on_fit_start(self) -> None:
        """Initializes the network from training data, once: all processes use the same batch.

        Raises:
            UserError: If the Trainer has no data module.
        """
        super().on_fit_start()
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if data is None:
            raise UserError("PixelCNNpp is initialized from training data: give Trainer.fit a data module, not loaders")
        layers = [layer for layer in self.net.layers() if not layer.initialized]
        batch = next(iter(data.train_dataloader()), None)
        if not layers or batch is None:
            return
        for layer in layers:
            layer.pending = True
        x, label, _ = batch
        training = self.net.training
        self.net.eval()
        with torch.no_grad():
            label = label.to(self.device) if self.num_classes else None
            self.net(to_symmetric(x.to(self.device), self.num_levels), label)
        self.net.train(training)


class _PixelByPixel(Conditionals):
    """One pass of the cached network per pixel; its channels are conditionals of the same mixture."""

    def __init__(self, model: PixelCNNpp, batch_size: int, label: Tensor | None) -> None:
        self.model = model
        C, H, W = model.shape
        self.cache = PixelCNNppCache(model.net, batch_size, H, W, label)
        self.pixel = torch.zeros(batch_size, C, dtype=torch.int64, device=model.device)
        self.asked = 0
        self.mixture: PixelMixture

    @override
    def next(self, value: Tensor | None) -> Tensor:
        pixels, c = divmod(self.asked, self.model.shape[0])
        if value is not None:
            self.pixel[:, c - 1] = value  # the last channel if c is a pixel's first
        if c == 0:
            last = to_symmetric(self.pixel, self.model.num_levels) if pixels else None
            self.mixture = self.model._mixture(self.cache.next(last))
        self.asked += 1
        return self.mixture.level_log_probs(c, self.pixel)
