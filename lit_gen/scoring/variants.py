"""Ways of drawing samples from one checkpoint, as a command line names them: samplers, their steps, guidance."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from lit_gen.errors import UserError, nearest


@runtime_checkable
class Samplable(Protocol):
    """A model whose samples can be drawn in several ways; no part of the contract.

    Attributes:
        sampling: How: a dataclass with ``sampler``, ``steps`` and ``guidance``.
    """

    sampling: Any

    def check_sampling(self, sampling: Any) -> None:
        """Refuses what the model cannot be sampled by.

        Raises:
            UserError: Naming the field.
        """


@dataclass(frozen=True)
class Ways:
    """What was asked for; nothing of a field leaves the model's own.

    Attributes:
        sampler: Names.
        steps: Numbers of steps.
        guidance: Strengths of guidance.
    """

    sampler: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    guidance: tuple[float, ...] = ()

    @property
    def asked(self) -> dict[str, tuple[Any, ...]]:
        """The fields of which something is asked."""
        return {name: values for name, values in vars(self).items() if values}


def samplings_of(model: object, ways: Ways) -> list[Any]:
    """Each combination of what is asked for, as the model's own ``sampling`` with these fields; none if nothing is.

    Raises:
        UserError: The model is sampled in one way only, knows no such sampler, or cannot do a combination.
    """
    if not ways.asked:
        return []
    if not isinstance(model, Samplable):
        raise UserError(
            f"--{next(iter(ways.asked))} is for diffusion models, and {type(model).__name__} is sampled in one way;"
            " leave it out"
        )
    known = model.sampling.samplers()
    for name in ways.sampler:
        if name not in known:
            raise UserError(f"--sampler {name}: there are {', '.join(known)}{nearest(name, known)}")
    distinct = [dict.fromkeys(values) for values in ways.asked.values()]
    combinations = [dict(zip(ways.asked, values, strict=True)) for values in itertools.product(*distinct)]
    found = [dataclasses.replace(model.sampling, **combination) for combination in combinations]
    for sampling in found:
        model.check_sampling(sampling)
    return found
