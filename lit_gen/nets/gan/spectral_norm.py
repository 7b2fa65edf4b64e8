"""Layers whose weight is divided by its largest singular value."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FIRST_ITERATIONS = 15


class SpectralNorm(nn.Module):
    """Divides a weight by an estimate of its largest singular value, the weight taken as a matrix ``[outputs, rest]``.

    The estimate is ``u' W v``. Each call in training takes one step of the power iteration for the singular vectors u
    and v, which are buffers, so that a resumed run continues with the same estimate; other calls leave them as they
    are. It is computed in float32, whatever the autocast.

    The values are those of :func:`torch.nn.utils.parametrizations.spectral_norm`. It is a submodule in place of a
    parametrization, whose access to the weight is a property that costs more than the iteration of a small layer.

    Args:
        weight: The weight, already initialized.

    References:
        Miyato et al.: Spectral Normalization for Generative Adversarial Networks, 2018, arXiv:1802.05957, algorithm 1.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(matrix.shape[0]), dim=0, eps=1e-12))
        self.register_buffer("v", F.normalize(torch.randn(matrix.shape[1]), dim=0, eps=1e-12))
        for _ in range(_FIRST_ITERATIONS):
            self._iterate(matrix)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        # New tensors: an earlier call of the same step, compiled or not, needs the old ones in its backward pass.
        self.u = F.normalize(torch.mv(matrix, self.v), dim=0, eps=1e-12)
        self.v = F.normalize(torch.mv(matrix.t(), self.u), dim=0, eps=1e-12)

    def forward(self, weight: Tensor) -> Tensor:
        """The normalized weight."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            if self.training:
                self._iterate(matrix)
            return weight / torch.dot(self.u, torch.mv(matrix, self.v))


class SpectralConv2d(nn.Conv2d):
    """A convolution with a spectrally normalized weight, Glorot-initialized; arguments as for :class:`nn.Conv2d`.

    Args:
        *args: Positional arguments of the convolution.
        gain: Factor of the initialization.
        **kwargs: Further arguments of the convolution.
    """

    def __init__(self, *args: Any, gain: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        nn.init.xavier_uniform_(self.weight, gain)
        self.norm = SpectralNorm(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of ``[B, C, H, W]``."""
        return self._conv_forward(x, self.norm(self.weight), self.bias)


class SpectralLinear(nn.Linear):
    """A linear layer with a spectrally normalized weight, Glorot-initialized.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        bias: Whether it has a bias.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        nn.init.xavier_uniform_(self.weight)
        self.norm = SpectralNorm(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs ``[B, outputs]`` of ``[B, inputs]``."""
        return F.linear(x, self.norm(self.weight), self.bias)


class SpectralEmbedding(nn.Embedding):
    """An embedding of classes with a spectrally normalized matrix, Glorot-initialized.

    Args:
        num_classes: Number of classes.
        width: Length of a vector.
    """

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__(num_classes, width)
        nn.init.xavier_uniform_(self.weight)
        self.norm = SpectralNorm(self.weight)

    def forward(self, label: Tensor) -> Tensor:
        """Vectors ``[B, width]`` of classes int64 ``[B]``."""
        return F.embedding(label, self.norm(self.weight))
