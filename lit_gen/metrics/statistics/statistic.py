"""What every statistic of features implements: a torchmetrics Metric whose states are sums."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.sums import all_reduce_sum, jackknife_error, moved, total

NUM_GROUPS = 10
"""Groups of the jackknife; sample i belongs to group i mod 10: groups of one size, whatever the samples' order."""

FeatureKind = Literal["vectors", "symbols"]
"""``vectors`` are real features [B, D]; ``symbols`` are integers [B, L] in 0..D-1, of which only counts make sense."""


class Pairs(NamedTuple):
    """Samples with their nearest reference examples, the most suspicious first.

    Attributes:
        sample: int64 [n], numbers of the samples.
        reference: int64 [n], rows of the reference.
        ratio: float64 [n], distance of the two divided by that of the reference example from its own nearest other.
    """

    sample: Tensor
    reference: Tensor
    ratio: Tensor

    def first(self, n: int) -> Pairs:
        """Returns the n most suspicious pairs."""
        return Pairs(*(part[:n] for part in self))


class Statistic(Metric, abc.ABC):
    """A statistic of samples' features, such as a distance from the features of real data.

    A subclass registers its states in the constructor, adds to them in ``update``, and sets ``scores``. It asks by
    name for what it needs: ``update`` takes some of ``features``, ``logits`` and ``index``, and the constructor, after
    ``num_features`` and ``reference``, some of ``num_classes``, ``num_samples`` and ``num_groups``. Every other
    parameter of the constructor is a setting, which needs a default.

    States are sums over samples, float64 unless stated otherwise. They stay in that precision when the module is
    converted, live on the CPU when it is moved to an Apple GPU, which has no float64, and are added over processes by
    an all-reduce: torchmetrics' own gathers the states of all processes on each.

    In a LightningModule, log the dictionary that a ``torchmetrics.MetricCollection`` of statistics computes::

        def __init__(self):
            super().__init__()
            self.space = MnistCNN()
            reference = ...  # the ``summary()`` of a FrechetDistance that was updated with real images
            self.statistics = MetricCollection([FrechetDistance(64, reference)])

        def on_validation_epoch_end(self):
            for first in range(0, 1000, 250):
                features, logits = self.space(self.sample(250))
                index = torch.arange(first, first + 250)
                self.statistics.update(features=features, logits=logits, index=index)
            self.log_dict(self.statistics.compute())
            self.statistics.reset()

    ``self.log(name, statistic)`` raises, because Lightning logs a metric only where it computes one scalar. Each
    process passes its own samples, with indices that no other process has.

    Args:
        num_features: Number of features D, or of different symbols.
        reference: Another instance's ``summary()``, of the real data.
        num_groups: Number of groups of the jackknife; sample i belongs to group i mod ``num_groups``.
        **kwargs: Keyword arguments of ``torchmetrics.Metric``.

    Attributes:
        scores: Scalars that ``compute`` returns, with how they are printed and ranked.
        uses_reference: Whether the statistic compares with real data.
        reference_split: Split of the reference, where the definition names it; None for the one that is scored.
        feature_kind: The kind of features that ``update`` takes.
        unbiased: Whether its expectation does not depend on the numbers of samples and of reference examples, so that
            it is the first score where these are few.
    """

    full_state_update: bool | None = False
    scores: ClassVar[tuple[ScoreSpec, ...]]
    uses_reference: ClassVar[bool] = True
    reference_split: ClassVar[Literal["train"] | None] = None
    feature_kind: ClassVar[FeatureKind] = "vectors"
    unbiased: ClassVar[bool] = False

    def __init__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_groups: int = NUM_GROUPS,
        **kwargs: Any,
    ) -> None:
        # Merged in an expression, so that jsonargparse does not list torchmetrics' arguments in configurations.
        super().__init__(**({"dist_sync_fn": all_reduce_sum} | kwargs))
        self._not_settings = {*vars(self), "num_groups", "num_samples", "reference"}
        self.num_features, self.num_groups = num_features, num_groups
        self._reference = reference

    # -------------------------------------------------------------- what a subclass implements

    @abc.abstractmethod
    @override
    def update(self, features: Tensor, index: Tensor) -> None:
        """Adds a batch of samples; a subclass names the arguments that it needs.

        Args:
            features: Features [B, ...].
            index: int64 [B], number of each sample among all samples of all processes.
        """

    @abc.abstractmethod
    @override
    def compute(self) -> dict[str, Tensor]:
        """Computes float64 scalars and their standard errors, by name.

        Raises:
            ValueError: Too few samples, features that are not finite, or no reference where one is needed.
        """

    def protocol(self) -> dict[str, Any]:
        """Returns the fields of a score's protocol that are this statistic's alone."""
        return {}

    def note(self, few_examples: int) -> str:
        """Returns what a reader of the scores must know, beside their protocol; mostly nothing.

        Args:
            few_examples: The space's ``few_examples``.
        """
        return ""

    def check_counts(self, num_reference: int) -> None:
        """Validates that there are enough reference examples, before a run starts.

        Args:
            num_reference: Number of reference examples.

        Raises:
            UserError: There are too few.
        """

    def pairs(self) -> Pairs | None:
        """Returns samples with their nearest reference examples, after ``compute``; None where it looks for none."""
        return None

    @classmethod
    def check_space(cls, num_classes: int) -> None:
        """Validates that the statistic can be computed in a feature space.

        Args:
            num_classes: Number of classes of the space's classifier; 0 means that it has none.

        Raises:
            UserError: It cannot.
        """

    @classmethod
    def is_usable(cls, summary: Mapping[str, Tensor]) -> bool:
        """Returns whether a summary can serve as a reference: enough examples, and finite features."""
        return all(bool(tensor.isfinite().all()) for tensor in summary.values())

    def summary_key(self) -> str:
        """Returns the name and settings on which ``summary`` depends; part of the key of cached references.

        All public attributes that are plain values count as settings. A subclass whose states are those of another
        statistic may return that statistic's key, to share its references.
        """
        plain = {
            name: value
            for name, value in sorted(vars(self).items())
            if name not in self._not_settings and isinstance(value, bool | int | float | str | tuple)
        }
        settings = {name: value for name, value in plain.items() if not name.startswith("_")}
        return repr((f"{type(self).__module__}.{type(self).__qualname__}", settings))

    # -------------------------------------------------------------- states

    @override
    def add_state(
        self,
        name: str,
        default: Tensor | list[Any],
        dist_reduce_fx: str | Callable[..., Any] | None = "sum",
        persistent: bool = False,
    ) -> None:
        """Registers a state that is a sum over samples, beginning at 0.

        Raises:
            ValueError: The state is not a tensor of zeros that processes add up.
        """
        if dist_reduce_fx != "sum" or not isinstance(default, Tensor) or default.any():
            raise ValueError(f"state {name} of {type(self).__name__} must be a tensor of zeros reduced by 'sum'")
        super().add_state(name, default, dist_reduce_fx, persistent)
        # torchmetrics keeps a copy to reset to: here one zero, seen in the state's shape. States may be hundreds of MB.
        self._defaults[name] = default.new_zeros(()).expand(default.shape)

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Statistic:
        device = fn(torch.empty(0, device=self.device)).device
        device = torch.device("cpu") if device.type == "mps" else device
        super()._apply(lambda tensor: moved(tensor, device), exclude_state)
        return self

    @override
    def set_dtype(self, dst_type: str | torch.dtype) -> Statistic:
        """Does nothing: sums in a lower precision would be of no use."""
        return self

    @override
    def sync(self, dist_sync_fn: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> None:
        """Adds the states over processes; see :meth:`torchmetrics.Metric.sync`."""
        super().sync(dist_sync_fn or self.dist_sync_fn, *args, **kwargs)

    def summary(self) -> dict[str, Tensor]:
        """Returns the states added over groups and processes, on the CPU: what serves as a ``reference``.

        All processes must call it together.
        """
        with self.sync_context(should_sync=not self._is_synced):
            return {name: total(state.cpu()) for name, state in self._sums().items()}

    def _sums(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in self._defaults}

    @property
    def reference(self) -> Mapping[str, Tensor]:
        """Summary of the real data.

        Raises:
            ValueError: None was given.
        """
        if self._reference is None:
            raise ValueError(f"{type(self).__name__} needs a reference: the summary() of the real data's features")
        return self._reference

    def group(self, index: Tensor) -> Tensor:
        """Returns the group of each sample, int64 [B], on the states' device."""
        return index.to(self.device) % self.num_groups

    def jackknife(self, function: Callable[[dict[str, Tensor]], float]) -> tuple[Tensor, Tensor]:
        """Computes a function of all samples' sums, with a delete-one-group jackknife error.

        The error estimates how the value would spread if as many new samples were drawn, the reference held fixed. Of
        G groups, with the values v_g without group g, it is sqrt((G - 1) / G * sum_g (v_g - mean v)^2). Being itself
        an estimate from G values, its own relative error is about 1 / sqrt(2 (G - 1)), a quarter for G = 10.

        Args:
            function: Function of the states on the CPU without their leading group axis.

        Returns:
            The value and its standard error, float64 [].

        Raises:
            ValueError: For fewer than 2 groups, or by the function.

        References:
            Efron and Stein 1981, The jackknife estimate of variance, https://doi.org/10.1214/aos/1176345462.
        """
        if self.num_groups < 2:
            raise ValueError("a jackknife needs 2 groups or more")
        states = {name: state.detach().cpu() for name, state in self._sums().items()}
        whole = {name: total(state) for name, state in states.items()}
        without = [
            function({name: whole[name] - states[name][group] for name in states}) for group in range(self.num_groups)
        ]
        return torch.tensor(function(whole), dtype=torch.float64), jackknife_error(without)


class StatisticFactory(Protocol):
    """What builds a statistic: a subclass of :class:`Statistic`, or one with some of its settings given.

    Configurations name a class, with its settings below ``init_args``. The arguments below are left out there.
    """

    def __call__(
        self,
        num_features: int,
        reference: Mapping[str, Tensor] | None = None,
        *,
        num_classes: int,
        num_samples: int,
        num_groups: int,
    ) -> Statistic:
        """Builds it; a class is given those of the keyword arguments that its constructor names."""
