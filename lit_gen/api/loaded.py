"""A trained model as a program uses it: integers, pictures, likelihoods and latents, each in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor

from lit_gen.contract import Estimation, GenerativeModule
from lit_gen.contract.generative_module import block_within
from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.likelihood import Likelihood, bits_per_dim
from lit_gen.noise import Noise
from lit_gen.quantization import to_uint8
from lit_gen.records.record import Record
from lit_gen.runs.run import Run
from lit_gen.sample.draw import those_with
from lit_gen.sample.latents import Latents, great_circle, interpolate, straight

Result = TypeVar("Result")


class LoadedModel:
    """A trained model with the weights that are scored, in eval mode, on one device; ``lit_gen.load`` makes it.

    All random numbers come from the seeds that are passed: the same seed gives the same samples in any batch, as
    ``lit-gen sample --seed`` does, and the generators of torch are left as they are. Computations run without gradients
    and in the precision of the run's Trainer.

    Args:
        run: The model and its data module, with the weights loaded.
        path: The checkpoint.
        weights: ``ema`` for averaged weights, ``raw`` for others.
        record: The run's record, if there is one.

    Attributes:
        model: The model itself, a :class:`~lit_gen.contract.GenerativeModule`.
        data: The data module of the run, which reads the data when it is asked for a split.
        config: The run's resolved configuration, nested plain values.
        record: Record of the checkpoint with its scores; None if it has not been scored.
        checkpoint: Path of the checkpoint.
        weights: ``ema`` or ``raw``.
    """

    def __init__(self, run: Run, path: Path, weights: str, record: Record | None) -> None:
        self.model: GenerativeModule = run.model
        self.data: DiscreteDataModule = run.data
        self.config: dict[str, Any] = yaml.safe_load(run.config)
        self.record = record
        self.checkpoint = path
        self.weights = weights
        self._scoring = run.scoring
        self._forward_context = run.trainer.precision_plugin.forward_context

    def __repr__(self) -> str:
        return f"{type(self.model).__name__} on {self.data.name}, {self.weights} weights of {self.checkpoint}"

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.device

    # -------------------------------------------------------------- samples

    def sample(self, n: int, *, seed: int = 0, label: int | None = None, first: int = 0, **sampling: Any) -> Tensor:
        """Samples ``first .. first+n-1`` of the stream of a seed: uint8 ``[n, *shape]``, on the CPU.

        Args:
            n: Number of samples.
            seed: Seed of the stream.
            label: Class, for a model trained with labels.
            first: Position of the first sample.
            **sampling: Options of the family's sampler, such as ``temperature=0.7`` or ``sampler="ddim", steps=50``.

        Raises:
            UserError: If the model has no such option or class, or ``n`` is less than one.
        """
        if n < 1:
            raise UserError(f"sample: n is {n}; give at least 1")
        with self.model.sampled_by(self.model.sampling_with(**sampling)):
            return self._quietly(lambda: self.model.sample(n, seed=seed, label=label, first=first))

    def images(self, n: int, **options: Any) -> list[Image.Image]:
        """Samples as pictures, for a model of grey or colour images; arguments as in :meth:`sample`.

        Raises:
            UserError: If the samples are not images, or as in :meth:`sample`.
        """
        shape = self.model.shape
        if self.data.modality != "image" or len(shape) != 3 or shape[0] not in (1, 3):
            raise UserError(
                f"images: the samples are {self.data.modality} of shape {shape}, no pictures [1 or 3, H, W]; use sample"
            )
        pixels = to_uint8(self.sample(n, **options), self.model.num_levels).permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(np.ascontiguousarray(x[..., 0] if x.shape[-1] == 1 else x)) for x in pixels]

    # -------------------------------------------------------------- likelihoods

    def likelihood(
        self,
        x: Tensor,
        *,
        estimator: str | None = None,
        draws: int | None = None,
        replicates: int | None = None,
        seed: int | None = None,
    ) -> Likelihood:
        """Negative log-likelihoods with their kind: exact, bound or estimate.

        What is not given is as the run scores. Examples are numbered from 0 on, so that those of a whole split in order
        have the noise, and so the values, that are in the run's record.

        Args:
            x: Integers ``{0..num_levels-1}`` of shape ``[B, *shape]``, such as ``data.split("test").x``.
            estimator: One of ``model.estimators``.
            draws: Number of the estimator's draws per example.
            replicates: Number of independent estimates, whose mean is the value.
            seed: Seed of the draws.

        Returns:
            Nats ``[B]`` and their parts, on the CPU.

        Raises:
            UserError: If the model has no likelihood or no such estimator, or x does not fit the model.
        """
        model, scoring = self.model, self._scoring
        if not model.estimators:
            raise UserError(f"{type(model).__name__} has no likelihood; score its samples: lit-gen evaluate")
        model.check_estimator(estimator)
        x = self._checked(x)
        how = Estimation(
            scoring.estimator if estimator is None else estimator,
            scoring.draws if draws is None else draws,
            scoring.seed if seed is None else seed,
            scoring.replicates if replicates is None else replicates,
        )
        if model.pilot_examples:
            self._quietly(
                lambda: model.prepare_nll(x[: model.pilot_examples].to(model.device), how.seed, how.estimator)
            )
        size = block_within(self.data.loader.eval_batch_size)
        found = [self._batch(x, range(i, min(i + size, len(x))), how) for i in range(0, len(x), size)]
        parts = {name: torch.cat([each.parts[name] for each in found if each.parts]) for name in found[0].parts or {}}
        return Likelihood(torch.cat([e.nats for e in found]), found[0].kind, found[0].estimator, parts or None)

    def nll(self, x: Tensor, **options: Any) -> Tensor:
        """Negative log-likelihoods in nats, ``[B]``; arguments and errors as in :meth:`likelihood`."""
        return self.likelihood(x, **options).nats

    def bits_per_dim(self, x: Tensor, **options: Any) -> Tensor:
        """Negative log-likelihoods in bits per dimension, ``[B]``; arguments and errors as in :meth:`likelihood`."""
        return bits_per_dim(self.nll(x, **options), self.model.shape)

    def _batch(self, x: Tensor, rows: range, how: Estimation) -> Likelihood:
        """Mean of the replicates of some rows, on the CPU."""
        batch = (x[rows.start : rows.stop].to(self.device), None, torch.arange(rows.start, rows.stop))
        found = self._quietly(lambda: self.model.estimate(batch, how))
        nats = torch.stack([each.nats.cpu() for each in found]).mean(0)
        names = found[0].parts or {}
        parts = {name: torch.stack([each.parts[name].cpu() for each in found if each.parts]).mean(0) for name in names}
        return Likelihood(nats, found[0].kind, found[0].estimator, parts)

    # -------------------------------------------------------------- latents

    def encode(self, x: Tensor, *, seed: int = 0) -> Tensor:
        """Latents ``[B, Z]`` of integers ``[B, *shape]``, on the CPU, for a model with an encoder.

        Args:
            x: The examples.
            seed: Seed of the draws, in models that draw: the noise of a flow's dequantization.

        Raises:
            UserError: If the model has no encoder, or x does not fit it.
        """
        model: Any = self._with_latents("encode")
        x = self._checked(x)
        return self._quietly(lambda: model.to_latent(x.to(self.device), Noise(seed, range(len(x)), self.device))).cpu()

    def decode(self, z: Tensor) -> Tensor:
        """Integers uint8 ``[B, *shape]`` of latents ``[B, Z]``, on the CPU.

        Raises:
            UserError: If the model has no encoder.
        """
        model: Any = self._with_latents("decode")
        return self._quietly(lambda: model.from_latent(z.to(self.device))).cpu()

    def interpolate(
        self, start: Tensor, end: Tensor, steps: int = 10, *, linear: bool = False, seed: int = 0
    ) -> Tensor:
        """Integers uint8 ``[steps, *shape]`` from one example to another through the latents, on the CPU.

        Args:
            start: The first example, integers ``[*shape]``.
            end: The last example.
            steps: Number of examples, with the reconstructions of both ends.
            linear: Whether the way is a straight line in place of a great circle.
            seed: Seed of the encoder's draws.

        Raises:
            UserError: If the model has no encoder, an example does not fit it, or there are less than two steps.
        """
        model: Any = self._with_latents("interpolate")
        if steps < 2:
            raise UserError(f"interpolate: steps is {steps}; give at least 2, the two ends")
        x = self._checked(torch.stack([torch.as_tensor(start), torch.as_tensor(end)])).to(self.device)
        noise, way = Noise(seed, range(2), self.device), straight if linear else great_circle
        return self._quietly(lambda: interpolate(model, x, noise, steps, way)).cpu()

    # -------------------------------------------------------------- shared

    def _with_latents(self, what: str) -> GenerativeModule:
        if not isinstance(self.model, Latents):
            name = type(self.model).__name__
            raise UserError(f"{what}: {name} has no encoder; these have one: {those_with(Latents)}")
        return self.model

    def _checked(self, x: Tensor | Sequence[Any]) -> Tensor:
        """The examples, if they are integers that the model takes."""
        x, shape, levels = torch.as_tensor(x), self.model.shape, self.model.num_levels
        if x.is_floating_point() or x.shape[1:] != shape or not len(x):
            raise UserError(
                f"x is {str(x.dtype).removeprefix('torch.')} of shape {list(x.shape)}; give integers 0..{levels - 1}"
                f" of shape [B, {', '.join(map(str, shape))}]"
            )
        if int(x.min()) < 0 or int(x.max()) >= levels:
            raise UserError(f"x has values {int(x.min())}..{int(x.max())}; the model takes 0..{levels - 1}")
        return x.to(torch.uint8)

    def _quietly(self, compute: Callable[[], Result]) -> Result:
        """A result computed without gradients, in eval mode and in the precision of the run."""
        self.model.eval()
        with torch.no_grad(), self._forward_context():
            return compute()
