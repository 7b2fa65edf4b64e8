"""Binarization, one implementation for every image data set."""

from __future__ import annotations

import abc
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.data.loader import Loader, Redraw
from lit_gen.data.module import SPLITS, DiscreteDataModule, Split, SplitName
from lit_gen.noise import Noise

Binarize = Literal["threshold", "dynamic"]

# The draws of held-out splits belong to the data set, like its file order: no option changes them.
EVAL_DRAW_SEED = 20160930
_SUFFIX = {"threshold": "binary_static", "dynamic": "binary_dynamic"}


def threshold(x: Tensor, num_levels: int) -> Tensor:
    """Maps values in the upper half of the range to 1, others to 0.

    Args:
        x: Values in {0..num_levels-1}, uint8 ``[...]``.
        num_levels: Number of values.

    >>> threshold(torch.tensor([0, 127, 128, 255], dtype=torch.uint8), 256).tolist()
    [0, 0, 1, 1]
    """
    return (x > (num_levels - 1) // 2).to(torch.uint8)


def bernoulli(x: Tensor, num_levels: int, generator: np.random.Generator) -> Tensor:
    """Draws each pixel from Bernoulli(x / (num_levels - 1)), exactly.

    With u uniform on {0..num_levels-2}, P(u < x) = x / (num_levels - 1): no rounding, and one random byte
    a pixel.

    Args:
        x: Values in {0..num_levels-1}, uint8 ``[...]``.
        num_levels: Number of values.
        generator: Source of randomness.

    Returns:
        Values in {0, 1}, uint8 ``[...]``.

    References:
        Salakhutdinov and Murray, On the Quantitative Analysis of Deep Belief Networks, ICML 2008.
    """
    u = generator.integers(0, num_levels - 1, size=tuple(x.shape), dtype=np.uint8)
    return (torch.from_numpy(u) < x).to(torch.uint8)


def bernoulli_by_noise(x: Tensor, num_levels: int, noise: Noise) -> Tensor:
    """Draws each pixel from Bernoulli(x / (num_levels - 1)), to 2^-24, by the noise of each example.

    Args:
        x: Values in {0..num_levels-1}, uint8 ``[B, ...]``.
        num_levels: Number of values.
        noise: Noise of the B examples, on the same device.

    Returns:
        Values in {0, 1}, uint8 ``[B, ...]``.
    """
    return (noise.uniform(*x.shape[1:]).mul_(num_levels - 1) < x).to(torch.uint8)


class BinarizableDataModule(DiscreteDataModule):
    """Grey (or colour) images, as they are or made binary.

    - ``binarize=None``: the values as they are.
    - ``"threshold"``: 1 above the middle value (x > 127 of 256), once and for all; ``name`` gains
      ``_binary_static``.
    - ``"dynamic"``: Bernoulli(x / (num_levels - 1)); ``name`` gains ``_binary_dynamic``. Training images
      are redrawn in every epoch; validation and test are drawn once, from a fixed seed that is no
      option, so that all runs are scored on the same bits. ``split("train")`` is one fixed draw; its
      fingerprint covers the grey values, the rule and the seed.

    Args:
        name: Name of the data in records, without the suffix.
        shape: Shape of one example, ``(C, H, W)``.
        num_levels: Number of values before binarization.
        binarize: None, "threshold" or "dynamic"; see above.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order and of dynamic binarization.
    """

    def __init__(
        self,
        *,
        name: str,
        shape: tuple[int, ...],
        num_levels: int,
        binarize: Binarize | None,
        batch_size: int,
        loader: Loader,
    ) -> None:
        super().__init__(
            name=name if binarize is None else f"{name}_{_SUFFIX[binarize]}",
            shape=shape,
            num_levels=num_levels if binarize is None else 2,
            batch_size=batch_size,
            loader=loader,
        )
        self.binarize = binarize
        self.grey_levels = num_levels
        self._grey_train: Tensor | None = None

    @abc.abstractmethod
    def read_grey(self) -> dict[SplitName, Split]:
        """Reads all three splits with their original values."""

    @override
    def read(self) -> dict[SplitName, Split]:
        """Reads the splits and applies the rule."""
        grey = self.read_grey()
        if self.binarize is None:
            return grey
        if self.binarize == "dynamic":
            self._grey_train = grey["train"].x
        return {name: Split(self._binary(grey[name].x, name), grey[name].label) for name in SPLITS}

    @override
    def fingerprint(self, name: SplitName) -> str:
        """SHA-256 of the split; of a redrawn one, of its grey values, the rule and the seed."""
        if self.binarize == "dynamic" and name == "train" and name not in self._fingerprints:
            rule = f"Bernoulli of x/{self.grey_levels - 1}, redrawn in every epoch, seed {self.loader.seed}"
            self._fingerprints[name] = self._digest(self._training(torch.device("cpu"))[0], rule)
        return super().fingerprint(name)

    @override
    def _training(self, device: torch.device) -> tuple[Tensor, Redraw | None]:
        self.setup()
        if self._grey_train is None:
            return super()._training(device)
        return self._grey_train.to(device), self._redraw

    def _redraw(self, x: Tensor, noise: Noise) -> Tensor:
        return bernoulli_by_noise(x, self.grey_levels, noise)

    def _binary(self, x: Tensor, name: SplitName) -> Tensor:
        if self.binarize == "threshold":
            return threshold(x, self.grey_levels)
        return bernoulli(x, self.grey_levels, np.random.default_rng((EVAL_DRAW_SEED, SPLITS.index(name))))
