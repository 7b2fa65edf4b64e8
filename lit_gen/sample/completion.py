"""What a model makes of the beginning of a real example."""

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
    """A model that draws the rest of an example whose first dimensions are given.

    No part of the contract: a family has this method where it can keep the promise exactly.
    """

    def first(self, count: int) -> Tensor:
        """Which dimensions can be given, so many of them: bool ``[*shape]``."""

    def complete(self, x: Tensor, num_given: int, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Keeps the first dimensions of levels x ``[B, *shape]`` in the order, draws the rest: uint8, alike."""


def completions(model: GenerativeModule, x: Tensor, options: Options) -> tuple[Tensor, Tensor, Tensor]:
    """Completions of each example, each with a noise of its own.

    Args:
        model: One that :class:`Completes`.
        x: Levels uint8 ``[N, *shape]``: those rows of a split that ``options.complete`` names. A row's
            completions have the same noise whichever rows stand beside it.
        options: ``complete``, ``given``, ``k``, ``seed`` and ``label``.

    Raises:
        UserError: A label that the model does not know.

    Returns:
        x; which of its dimensions are given, bool ``[*shape]``; uint8 ``[N, k, *shape]``, on the CPU.
    """
    assert isinstance(model, Completes)
    model.check_label(options.label)
    # Whole rows of an image, of which the order takes one after the other.
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
    """The rest of ``[n, *shape]``, some at a time, each with the noise of its number: on the CPU."""
    assert isinstance(model, GenerativeModule)
    parts = []
    for x, rows in zip(begun.split(block), torch.tensor(numbers).split(block), strict=True):
        label = None if options.label is None else torch.full((len(rows),), options.label, device=model.device)
        noise = Noise(options.seed, rows, model.device)
        parts.append(model.complete(x.to(model.device), num_given, noise, label).cpu())
    return torch.cat(parts)


def prompted(model: GenerativeModule, prompt: Tensor, n: int, options: Options, block: int | None = None) -> Tensor:
    """Samples that begin as they are told: uint8 ``[n, *shape]``, on the CPU. Sample i is of noise i.

    Args:
        model: One that :class:`Completes`.
        prompt: Levels uint8 ``[L]`` of the first dimensions.
        n: How many.
        options: ``seed`` and ``label``.
        block: Drawn at a time; :attr:`GenerativeModule.sample_block` if not given.

    Raises:
        UserError: A label that the model does not know; or the model does not begin with the first dimensions.
    """
    assert isinstance(model, Completes)
    model.check_label(options.label)
    size, given = math.prod(model.shape), len(prompt)
    if not torch.equal(model.first(given).flatten().cpu(), torch.arange(size) < given):
        raise UserError(f"--prompt: {type(model).__name__} does not draw from the beginning to the end; leave it out")
    begun = torch.zeros(size, dtype=torch.uint8)
    begun[:given] = prompt
    x = begun.view(model.shape).expand(n, *model.shape)
    return _complete(model, x, given, range(n), options, block or model.sample_block)
