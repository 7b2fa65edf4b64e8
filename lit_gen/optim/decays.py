"""How learning rates fall over a run: factors as functions of the examples seen."""

from __future__ import annotations

import abc
import math

from typing_extensions import override

from lit_gen.errors import UserError


class Decay(abc.ABC):
    """The learning rates' factor as a function of the examples seen."""

    @abc.abstractmethod
    def factor(self, examples_seen: int, max_examples: int) -> float:
        """The factor, 1 at the start.

        Args:
            examples_seen: Training examples seen so far.
            max_examples: The run's budget.
        """


class Constant(Decay):
    """The rates stay as they are."""

    @override
    def factor(self, examples_seen: int, max_examples: int) -> float:
        return 1.0


class CosineDecay(Decay):
    """Along half a cosine to a share of the rates at the end of the budget.

    Args:
        final: Share of the rates that is left at the end.

    Raises:
        UserError: ``final`` is not in [0, 1].

    References:
        Loshchilov, Hutter: SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, arXiv:1608.03983, equation 5.

    >>> [round(CosineDecay(0.1).factor(n, 100), 3) for n in (0, 50, 100, 200)]
    [1.0, 0.55, 0.1, 0.1]
    """

    def __init__(self, final: float = 0.0) -> None:
        self.final = _checked(final)

    @override
    def factor(self, examples_seen: int, max_examples: int) -> float:
        done = min(1.0, examples_seen / max_examples)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done))


class LinearDecay(Decay):
    """Along a straight line to a share of the rates at the end of the budget.

    Args:
        final: Share of the rates that is left at the end.

    Raises:
        UserError: ``final`` is not in [0, 1].

    >>> [LinearDecay(0.5).factor(n, 100) for n in (0, 50, 100, 200)]
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(self, final: float = 0.0) -> None:
        self.final = _checked(final)

    @override
    def factor(self, examples_seen: int, max_examples: int) -> float:
        return 1 - (1 - self.final) * min(1.0, examples_seen / max_examples)


class InverseSquareRoot(Decay):
    """Constant at first, then in proportion to the inverse square root of the examples seen, whatever the budget.

    Args:
        constant_examples: Examples until which the rates stay as they are; the warm-up's, in the paper.

    Raises:
        UserError: Fewer than one example.

    References:
        Vaswani et al.: Attention Is All You Need, 2017, arXiv:1706.03762, equation 3.

    >>> [InverseSquareRoot(25).factor(n, 100) for n in (0, 25, 100)]
    [1.0, 1.0, 0.5]
    """

    def __init__(self, constant_examples: int) -> None:
        if constant_examples < 1:
            raise UserError(f"decay: constant_examples={constant_examples} must be at least 1")
        self.constant_examples = constant_examples

    @override
    def factor(self, examples_seen: int, max_examples: int) -> float:
        return math.sqrt(self.constant_examples / max(examples_seen, self.constant_examples))


def _checked(final: float) -> float:
    if not 0 <= final <= 1:
        raise UserError(f"decay: final={final} must be in 0..1")
    return final
