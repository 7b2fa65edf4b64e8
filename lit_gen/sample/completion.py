"""Completions of real examples by a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.noise import Noise
from lit_gen.sample.options import Options


@runtime_checkable
class Completes(Protocol):
    """A model that samples the rest of an example given its first dimensions.

    Not part of the common interface: a family has this method if it can sample the rest exactly.
    """

    def first(self, count: int) -> Tensor:
        """Mask of the first ``count`` dimensions: bool ``[*shape]``."""

    def complete(self, x: Tensor, num_given: int, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Keeps the first dimensions of integers x ``[B, *shape]`` in the order, and samples the others: uint8."""


def completions(model: GenerativeModule, x: Tensor, options: Options) -> tuple[Tensor, Tensor, Tensor]:
    """Completions of each example, each with its own noise.

    Args:
        model: A model that :class:`Completes`.
        x: Integers uint8 ``[N, *shape]``: the rows of a split in ``options.complete``. A row's completions have
            the same noise whichever other rows are completed.
        options: Uses ``complete``, ``given``, ``k``, ``seed`` and ``label``.

    Raises:
        UserError: If the label is not one of the model's classes.

    Returns:
        x; the mask of given dimensions, bool ``[*shape]``; the completions, uint8 ``[N, k, *shape]``, on the CPU.
    """
    assert isinstance(model, Completes)
    model.check_label(options.class_number)
    # Whole rows of an image, which are consecutive in the order.
    row = math.prod(model.shape) // model.shape[-2] if len(model.shape) == 3 else 1
    num_given = row * round(options.given * math.prod(model.shape) / row)
    given = model.first(num_given).cpu()
    begun = torch.where(given, x, 0).to(torch.uint8).repeat_interleave(options.k, 0)
    numbers = [(row << 16) + j for row in options.complete for j in range(options.k)]
    done = _complete(model, begun, num_given, numbers, options, model.sample_block)
    return x, given, done.unflatten(0, (len(x), options.k))


def _complete(
    model: Completes, begun: Tensor, num_given: int, numbers: Sequence[int], options: Options, block: int
) -> Tensor:
    """Completions of ``[n, *shape]`` in chunks, each with the noise of its index: on the CPU."""
    assert isinstance(model, GenerativeModule)
    parts = []
    for x, rows in zip(begun.split(block), torch.tensor(numbers).split(block), strict=True):
        k = options.class_number
        label = None if k is None else torch.full((len(rows),), k, device=model.device)
        noise = Noise(options.seed, rows, model.device)
        parts.append(model.complete(x.to(model.device), num_given, noise, label).cpu())
    return torch.cat(parts)


def prompted(model: GenerativeModule, prompt: Tensor, n: int, options: Options, block: int | None = None) -> Tensor:
    """Samples that begin with a prompt: uint8 ``[n, *shape]``, on the CPU. Sample i depends on noise i only.

    Args:
        model: A model that :class:`Completes`.
        prompt: Integers uint8 ``[L]`` of the first dimensions.
        n: Number of samples.
        options: Uses ``seed`` and ``label``.
        block: Number of samples drawn at a time; :attr:`GenerativeModule.sample_block` if not given.

    Raises:
        UserError: If the label is not one of the model's classes, or its order does not start at the first dimensions.
    """
    assert isinstance(model, Completes)
    model.check_label(options.class_number)
    size, given = math.prod(model.shape), len(prompt)
    if not torch.equal(model.first(given).flatten().cpu(), torch.arange(size) < given):
        raise UserError(f"--prompt: {type(model).__name__} does not draw from the beginning to the end; leave it out")
    begun = torch.zeros(size, dtype=torch.uint8)
    begun[:given] = prompt
    x = begun.view(model.shape).expand(n, *model.shape)
    return _complete(model, x, given, range(n), options, block or model.sample_block)
