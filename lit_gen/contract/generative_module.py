"""The interface that every model implements: integers in, integers out, and the negative log-likelihood in nats."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lit_gen.contract.likelihood_module import LikelihoodModule
from lit_gen.contract.model_options import Diagnosis, SamplingOptions
from lit_gen.errors import UserError
from lit_gen.noise import Noise

Examples = tuple[Tensor, Tensor | None]
"""Integers ``[B, *shape]``, and their labels int64 ``[B]`` if the data have them."""

# Divisors of 250, so that 250 samples split into whole blocks.
_BLOCKS = (250, 125, 50, 25, 10, 5, 2, 1)
_BLOCK_INTEGERS = 1 << 22


def block_within(n: int) -> int:
    """The largest divisor of 250 that is at most n; at least 1."""
    return next((size for size in _BLOCKS if size <= n), 1)


class GenerativeModule(LikelihoodModule, abc.ABC):
    """Base class of all generative models of integer tensors. Training is Lightning's own interface.

    A family implements ``training_step``, ``configure_optimizers``, :meth:`generate` and, if it has a
    likelihood, ``nll``. ``training_step`` returns the loss, or a dictionary with ``loss`` and further
    scalars to plot; it does not call ``self.log``, which takes longer than a small training step.

    Args:
        shape: Shape of one example, such as ``(C, H, W)``.
        num_levels: Number of values; data are integers ``{0..num_levels-1}``.

    Attributes:
        num_classes: Number of label classes, ``{0..num_classes-1}``; 0 means unconditional.
        sampling: Current sampling options; see :meth:`sampled_by`.
        function_evaluations: Network evaluations while sampling, counted per example since the model was built.
        most_samples: Number of samples that there are, for those of another program; None for any number.
    """

    num_classes: int = 0
    most_samples: int | None = None
    sampling: SamplingOptions

    def __init__(self, shape: tuple[int, ...], num_levels: int) -> None:
        super().__init__(shape, num_levels)
        self.sampling = SamplingOptions()
        self.function_evaluations = 0

    # -------------------------------------------------------------- training

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips gradients as the Trainer does, and also with a fused optimizer under bf16, which scales no gradients.

        Lightning rejects all fused optimizers under mixed precision, because of the loss scaling of float16.
        """
        if gradient_clip_val and getattr(self.trainer.precision_plugin, "scaler", None) is None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            by_value = str(gradient_clip_algorithm).rsplit(".", 1)[-1].lower() == "value"
            clip = nn.utils.clip_grad_value_ if by_value else nn.utils.clip_grad_norm_
            clip(parameters, gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def check_labels(self, data: Any = None) -> None:
        """Validates the labels of the training data for a model with ``num_classes``; called before the first step.

        Args:
            data: The data module; the Trainer's if not given.

        Raises:
            UserError: If labels are missing, or outside ``{0..num_classes-1}``.
        """
        if not self.num_classes:
            return
        data = self.trainer.datamodule if data is None else data  # type: ignore[attr-defined]
        if data is None:
            return
        labels, name = data.label_range("train"), type(self).__name__
        if labels is None:
            raise UserError(f"{name}.num_classes is {self.num_classes}, but the data have no labels; set it to 0")
        for extreme in labels:
            if not 0 <= extreme < self.num_classes:
                raise UserError(f"{name}.num_classes is {self.num_classes}, but the data have label {extreme}")

    def compiled_modules(self) -> list[nn.Module]:
        """Submodules that ``compile`` compiles, for calls of them in training steps: by default those with parameters.

        A loss that contains a gradient calls a module within :func:`~lit_gen.contract.compilation.uncompiled`, since a
        compiled graph can be differentiated once only.
        """
        return [module for module in self.children() if any(p.requires_grad for p in module.parameters())]

    @property
    def update_period(self) -> int:
        """Batches per step that ``global_step`` counts; more than one if two networks are updated alternately."""
        return 1

    @property
    def own_options(self) -> dict[str, str]:
        """The model's own options in place of the Trainer's, which support one optimizer, by the name of the latter."""
        return {}

    def network_of(self, loss: str) -> str | None:
        """Name of the network that a value returned by ``training_step`` belongs to; None if there is one only."""
        return None

    def diagnose(self, train: Examples, held_out: Examples) -> Diagnosis | None:
        """Curves and warnings of a validation beside the scores; None if there are none.

        Args:
            train: Some training examples, integers ``[B, *shape]``, and their labels if the data have them.
            held_out: Some examples of the validation split.
        """
        return None

    def count_only_steps_of(self, counted: Any) -> None:
        """Makes ``global_step`` count the steps of one of several optimizers; call it in each training step.

        Lightning counts the steps of all optimizers (issue 17958) and resets its counters before each batch.

        Args:
            counted: One of ``self.optimizers()``.
        """
        for optimizer in self.optimizers():  # type: ignore[union-attr]
            if optimizer is not counted:
                optimizer._on_before_step = optimizer._on_after_step = lambda: None

    # -------------------------------------------------------------- samples

    @abc.abstractmethod
    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Draws one sample per row of noise: uint8 ``[len(noise), *shape]``, values ``{0..num_levels-1}``.

        All randomness comes from ``noise``, so sample i does not depend on the batch size or the number of
        processes. Runs without gradients, in eval mode. A model with ``num_classes`` samples the classes itself
        if ``label``, int64 ``[len(noise)]``, is None.
        """

    def count_evaluations(self, examples: int) -> None:
        """Counts network evaluations; :meth:`generate` calls this with the batch size at each evaluation.

        The count is the cost of a sample in records and in plots of quality against cost.
        """
        self.function_evaluations += examples

    def sample_counts(self) -> dict[str, tuple[int, int]]:
        """Counts of what happened to samples since the model was built, by name: how often, of how many.

        A record's notes hold the quotients for the scored samples. A model whose density is positive outside the
        data's range counts what it moved into the range, as samples are then not exactly those of the scored density.
        A decoder that assigns all numbers outside to the end values, as those of diffusion models do, loses nothing.
        """
        return {}

    def sampling_with(self, **changes: Any) -> SamplingOptions:
        """Returns the current options with some fields replaced.

        Raises:
            UserError: If the model has no such option, or does not support its value.
        """
        known = [field.name for field in dataclasses.fields(self.sampling)]
        for name in changes:
            if name not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise UserError(f"{type(self).__name__} has no sampling option {name}: {has}")
        changed = dataclasses.replace(self.sampling, **changes)
        self.check_sampling(changed)
        return changed

    def check_sampling(self, sampling: Any) -> None:
        """Validates sampling options for this model.

        Raises:
            UserError: If the model does not support them.
        """

    @contextlib.contextmanager
    def sampled_by(self, sampling: SamplingOptions) -> Iterator[None]:
        """Samples with other options inside the context, and restores the model's own on exit."""
        own, self.sampling = self.sampling, sampling
        try:
            yield
        finally:
            self.sampling = own

    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        """Settings of the sampler for the record: ``name`` and everything else that changes the samples."""
        return {"name": "ancestral"}

    def samples_in_float32(self) -> bool:
        """Whether samples are the same in every precision of the Trainer; a record then states none."""
        return False

    @property
    def sample_block(self) -> int:
        """Number of samples drawn in one batch: 250, or fewer if they are large (10 colour images of 256x256)."""
        return block_within(_BLOCK_INTEGERS // math.prod(self.shape))

    def sample(
        self, n: int, *, seed: int = 0, first: int = 0, block: int | None = None, label: int | None = None
    ) -> Tensor:
        """Returns samples ``first .. first+n-1`` of the stream given by seed: uint8 ``[n, *shape]``, on the CPU.

        Raises:
            UserError: If the label is not one of the model's classes.
        """
        return torch.cat(list(self.sample_blocks(n, seed=seed, first=first, block=block, label=label)))

    @torch.no_grad()
    def sample_blocks(
        self, n: int, *, seed: int = 0, first: int = 0, block: int | None = None, label: int | None = None
    ) -> Iterator[Tensor]:
        """Yields the samples of :meth:`sample` in blocks, for more samples than fit in memory.

        Blocks, of :attr:`sample_block` if not given, start at multiples of ``block``. A sample is therefore always
        computed in the same batch, whatever ``first`` is, so that results do not differ between calls even in the
        last bit of float sums, which depends on the batch.
        """
        self.check_label(label)
        block = block or self.sample_block
        training = self.training
        self.eval()
        try:
            for start in range(first - first % block, first + n, block):
                rows = range(max(start, first), min(start + block, first + n))
                labels = None if label is None else torch.full((len(rows),), label, device=self.device)
                yield self.draw(seed, rows, labels).cpu()
        finally:
            self.train(training)

    def draw(self, seed: int, indices: Iterable[int], label: Tensor | None = None) -> Tensor:
        """Draws the samples at some positions of the stream given by seed, in one batch: uint8 ``[n, *shape]``."""
        return self.generate(Noise(seed, indices, self.device), label)

    def check_label(self, label: int | None) -> None:
        """Validates a label.

        Raises:
            UserError: If it is not one of the model's classes.
        """
        if label is not None and not 0 <= label < self.num_classes:
            known = f"it has labels 0..{self.num_classes - 1}" if self.num_classes else "it was trained without labels"
            raise UserError(f"{type(self).__name__} cannot be asked for label {label}: {known}")
