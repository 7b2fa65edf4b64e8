"""Building the statistics that a configuration names, for a feature space."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.spaces.feature_space import FeatureSpace
from lit_gen.metrics.statistics.statistic import NUM_GROUPS, Statistic, StatisticFactory


def statistic_class(factory: StatisticFactory) -> type[Statistic]:
    """The class of the statistics that a factory builds.

    Args:
        factory: A class, or a ``functools.partial`` of one, as jsonargparse makes it from a configuration.

    Raises:
        TypeError: It is neither.
    """
    parts = [factory]
    if isinstance(factory, functools.partial):
        parts += [factory.func, *factory.args]
    for part in parts:
        if isinstance(part, type) and issubclass(part, Statistic):
            return part
    raise TypeError(f"{factory} is no subclass of Statistic, nor a functools.partial of one")


def build(
    factory: StatisticFactory,
    space: FeatureSpace,
    num_samples: int,
    reference: Mapping[str, Tensor] | None = None,
    num_groups: int = NUM_GROUPS,
    all_reduce: Callable[[Tensor], Tensor] | None = None,
) -> Statistic:
    """Builds a statistic of a space's features, giving it by name what its constructor asks for.

    Args:
        factory: The statistic's class, or one with settings given.
        space: The feature space.
        num_samples: Number of samples that there will be over all processes.
        reference: Summary of the real data.
        num_groups: Number of groups of the jackknife.
        all_reduce: Function that sums a tensor over all processes and returns it; None for torch.distributed's.
    """
    given = {"num_classes": space.num_classes, "num_samples": num_samples, "num_groups": num_groups}
    asked = inspect.signature(statistic_class(factory)).parameters
    call: Callable[..., Statistic] = factory
    statistic = call(space.num_features, reference, **{k: v for k, v in given.items() if k in asked})
    if all_reduce is not None:
        statistic.dist_sync_fn = lambda tensor, group=None: [all_reduce(tensor)]
        statistic.distributed_available_fn = lambda: True
    return statistic.to(space.sums_device)


def chosen(
    space: FeatureSpace | None, factories: Sequence[StatisticFactory] | None, num_examples: int | None = None
) -> list[StatisticFactory]:
    """The statistics that are computed: those that the space names, then those given.

    A given statistic of a class that the space names takes the place of the space's, with settings of its own. With
    fewer examples than the space's ``few_examples``, statistics without bias come first.

    Args:
        space: The feature space; None for no statistics.
        factories: The statistics that are given.
        num_examples: Number of samples, or of reference examples if they are fewer; None for many.

    Raises:
        UserError: One cannot be computed in this space, or two have scores of the same name.
    """
    if space is None:
        return []
    given = list(factories or [])
    replaced = {statistic_class(factory) for factory in given}
    found: list[Any] = [f for f in space.default_statistics if statistic_class(f) not in replaced] + given
    classes = [statistic_class(factory) for factory in found]
    for cls in classes:
        if cls.feature_kind != space.feature_kind:
            raise UserError(
                f"{cls.__name__} takes {cls.feature_kind}, and the features of {type(space).__name__} are"
                f" {space.feature_kind}"
            )
        cls.check_space(space.num_classes)
    names = [spec.name(space.network) for cls in classes for spec in cls.scores]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two statistics have a score of the name {twice[0]}; leave one of them out")
    if num_examples is not None and num_examples < space.few_examples:
        found.sort(key=lambda factory: not statistic_class(factory).unbiased)
    return found


def score_specs(
    space: FeatureSpace | None, factories: Sequence[StatisticFactory] | None, num_examples: int | None = None
) -> list[ScoreSpec]:
    """The scores of the statistics that are computed, in their order; see :func:`chosen`."""
    return [spec for factory in chosen(space, factories, num_examples) for spec in statistic_class(factory).scores]
