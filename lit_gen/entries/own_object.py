"""Scores an object of any class that has ``sample``, and ``nll`` if it has a likelihood."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import GenerativeModule
from lit_gen.entries.entry import Entry
from lit_gen.errors import UserError
from lit_gen.likelihood import Likelihood
from lit_gen.noise import Noise, mix

KINDS = ("exact", "bound", "estimate")


class OwnObject(Entry):
    """An object of a user's class, which need not know lit_gen.

    The class is called with ``shape`` and ``num_levels`` where it takes them, and without arguments otherwise. Its
    object has

    - ``sample(n, seed)``, which returns integers ``[n, *shape]`` from 0 to ``num_levels - 1`` as a tensor or an array;
    - for a likelihood, ``nll(x)``, which returns nats ``[B]`` of such integers, and ``likelihood_kind``, which is
      ``exact``, ``bound`` or ``estimate``.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
        path: Import path of the class, such as ``package.module.Class``.

    Raises:
        UserError: If there is no such class, or its objects lack a method.
    """

    def __init__(self, shape: tuple[int, ...], num_levels: int, path: str) -> None:
        super().__init__(shape, num_levels)
        made = imported(path)
        given = {"shape": self.shape, "num_levels": num_levels}
        takes = inspect.signature(made).parameters
        try:
            self.object = made(**{name: value for name, value in given.items() if name in takes})
        except TypeError as error:
            raise UserError(f"--module={path}: {error}; its arguments may be shape and num_levels") from error
        self.path = path
        has_samples = callable(getattr(self.object, "sample", None))
        self.most_samples = None if has_samples else 0
        has_nll = callable(getattr(self.object, "nll", None))
        if not has_samples and not has_nll:
            raise UserError(f"--module={path}: has neither sample(n, seed) nor nll(x)")
        self.kind = getattr(self.object, "likelihood_kind", None)
        if has_nll and self.kind not in KINDS:
            raise UserError(f"--module={path}: nll(x) needs a likelihood_kind beside it: {', '.join(KINDS)}")
        self.estimators = ("declared",) if has_nll else ()  # type: ignore[misc]

    @override
    def draw(self, seed: int, indices: Iterable[int], label: Tensor | None = None) -> Tensor:
        rows = list(indices)
        return self._integers(self.object.sample(len(rows), seed=mix(seed, rows[0])), len(rows))

    @override
    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        nats = torch.as_tensor(self.object.nll(x)).double()
        if nats.shape != (len(x),):
            raise UserError(f"--module={self.path}: nll(x) returned shape {tuple(nats.shape)} for {len(x)} examples")
        return Likelihood(nats, self.kind, "declared")  # type: ignore[arg-type]

    @override
    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        return {"name": self.path.rpartition(".")[2]}

    @property
    @override
    def entry_notes(self) -> dict[str, Any]:
        return {"declared": "likelihoods"} if self.estimators else {}


def imported(path: str) -> Any:
    """The class at an import path.

    Raises:
        UserError: If there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"--module={path}: {error}; give an import path such as package.module.Class") from error


def is_model(path: str) -> bool:
    """Whether the class at an import path is one of lit_gen's own interface."""
    found = imported(path)
    return isinstance(found, type) and issubclass(found, GenerativeModule)
