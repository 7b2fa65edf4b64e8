"""Likelihoods of a model: its estimators, and their means over the validation and test sets."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor

from lit_gen.contract.example_values import ExampleValues
from lit_gen.contract.model_options import Estimation
from lit_gen.errors import UserError, nearest
from lit_gen.likelihood import Likelihood, RunningNats, bits_per_dim
from lit_gen.noise import Noise, mix

Batch = tuple[Tensor, Tensor | None, Tensor]
"""What a data module's loaders yield: integers ``[B, *shape]``, labels int64 ``[B]`` or None, and the examples' indices
int64 ``[B]`` in their split."""

_PILOT = 0x9107  # separates the seeds of pilot draws from those of estimates


class LikelihoodModule(L.LightningModule, abc.ABC):
    """A model that may have a likelihood, and Lightning's hooks that compute it over a split.

    Attributes:
        estimators: Names of the family's likelihood estimators, cheapest first; empty if it has none.
        pilot_examples: Number of examples that :meth:`prepare_nll` is given; 0 if the estimators need none.
        val_estimation: Likelihood estimation during validation.
        test_estimation: Likelihood estimation of each test data loader, set by ``evaluate``; None skips the likelihood.
        test_values: Nats per example of each test data loader, available after a test.
    """

    estimators: ClassVar[tuple[str, ...]] = ()
    pilot_examples: ClassVar[int] = 0

    def __init__(self, shape: tuple[int, ...], num_levels: int) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.num_levels = num_levels
        self.val_estimation = Estimation()
        self.test_estimation: list[Estimation] | None = [Estimation()]
        self.test_values: list[ExampleValues] = []
        self._val_nats: dict[str, RunningNats] = {}

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood | None:
        """The negative log-likelihood of x in nats and its kind; None for a model without a density.

        Args:
            x: Integers ``[B, *shape]``.
            noise: Source of all randomness, with B rows.
            estimator: Name of one of ``estimators``; None for the first.
            draws: Number of draws per example; what is drawn depends on the estimator.
        """
        return None

    def prepare_nll(self, x: Tensor, seed: int, estimator: str | None) -> None:
        """Adapts an estimator to examples before a likelihood is computed, such as the allocation of its draws.

        It must not change what :meth:`nll` estimates. Its own draws are unrelated to those of the estimates.

        Args:
            x: Some integers of the split, at most ``pilot_examples``: ``[B, *shape]``.
            seed: Seed of its own draws.
            estimator: Name of one of ``estimators``; None for the first.
        """

    def check_estimator(self, estimator: str | None) -> None:
        """Validates the name of an estimator.

        Raises:
            UserError: If the model has no such estimator.
        """
        if estimator is not None and estimator not in self.estimators:
            names = ", ".join(self.estimators) or "none, it has no likelihood"
            hint = nearest(estimator, self.estimators)
            raise UserError(
                f"{type(self).__name__} has no likelihood estimator '{estimator}' (it has: {names}){hint}"
            )

    def likelihood_in_float32(self, estimator: str | None = None) -> bool:
        """Whether an estimator gives the same number in every precision of the Trainer; a record then states none."""
        return False

    def estimate(self, batch: Batch, how: Estimation) -> list[Likelihood]:
        """Independent estimates of the likelihood of a batch; none if the model has no likelihood.

        Replicates continue the same streams of noise, so they are independent. An exact value is computed once.
        """
        x, _, index = batch
        noise = Noise(how.seed, index, self.device)
        found: list[Likelihood] = []
        for _ in range(how.replicates):
            likelihood = self.nll(x, noise, how.estimator, how.draws)
            if likelihood is None:
                return []
            found.append(likelihood)
            if likelihood.kind == "exact":
                break
        return found

    # -------------------------------------------------------------- validation and test: Lightning's hooks

    def _prepare(self, how: Estimation, split: str) -> None:
        """Runs the pilot on random examples of a split, the same on all processes."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if data is None or not self.pilot_examples:
            return
        x, seed = data.split(split).x, mix(how.seed, _PILOT)
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[: self.pilot_examples]
        self.prepare_nll(x[rows].to(self.device), seed, how.estimator)

    def on_validation_epoch_start(self) -> None:
        """Resets the sums."""
        self._val_nats = {}
        self._prepare(self.val_estimation, "val")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accumulates nats if the model has a likelihood; the random draws are the same in every validation."""
        for likelihood in self.estimate(batch, self.val_estimation):
            for name, nats in {"nats": likelihood.nats, **(likelihood.parts or {})}.items():
                self._val_nats.setdefault(name, RunningNats()).update(nats)

    def on_validation_epoch_end(self) -> None:
        """Logs ``val/bpd`` and its parts: means over the whole split, equal on all processes.

        Sums are reduced first: ``sync_dist`` alone would average the means of processes, whose weights differ.
        """
        for name, running in self._val_nats.items():
            total = RunningNats(self._over_processes(running.sums, "sum"))
            if name == "nats":
                self.log("val/bpd", bits_per_dim(total.mean, self.shape), prog_bar=True, sync_dist=True)
                if total.non_finite:
                    self.log("val/non_finite", float(total.non_finite), sync_dist=True)
            self.log(f"val/{name}", total.mean, sync_dist=True)

    def on_test_epoch_start(self) -> None:
        """Prepares the values of each data loader."""
        how = self.test_estimation or []
        self.test_values = [ExampleValues() for _ in how]
        if how:
            self._prepare(how[0], getattr(self.trainer.datamodule, "scored_split", "test"))  # type: ignore[attr-defined]

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collects nats under ``test_estimation``."""
        found = self.estimate(batch, self.test_estimation[dataloader_idx]) if self.test_estimation else []
        if found:
            self.test_values[dataloader_idx].update(batch[2], found)

    def on_test_epoch_end(self) -> None:
        """Combines the values of all processes."""
        for values in self.test_values:
            values.finish(self._over_processes)

    def _over_processes(self, tensor: Tensor, how: str) -> Tensor:
        if self.trainer.world_size == 1:
            return tensor  # on the CPU: not every device has float64
        strategy: Any = self.trainer.strategy
        return strategy.reduce(tensor.to(self.device), reduce_op=how).cpu()
