"""How long an operation on n examples takes, from a few short measurements."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

_ENOUGH = 0.5  # seconds of one measurement that need no larger one
_STEP = 4


@dataclasses.dataclass(frozen=True)
class LinearTime:
    """Seconds of an operation as a linear function of the number of examples in a batch.

    Attributes:
        batch_size: Largest number of examples that are computed at a time.
        overhead: Seconds of a batch, whatever its size.
        per_example: Seconds of an example.
    """

    batch_size: int
    overhead: float
    per_example: float

    def seconds(self, examples: int) -> float:
        """Seconds for a number of examples, in batches."""
        whole, rest = divmod(examples, self.batch_size)
        full = self.overhead + self.batch_size * self.per_example
        return whole * full + (self.overhead + rest * self.per_example if rest else 0.0)


def measure(operation: Callable[[int], object], batch_size: int) -> LinearTime:
    """Times an operation on 1, 4, 16, ... examples, until a measurement is long enough or has the size of a batch.

    The last two measurements are connected by a line: a recurrent sampler takes about as long for one example as for
    many. An operation that is timed at one size only counts as proportional.

    Args:
        operation: Function of a number of examples.
        batch_size: Largest number of examples that are computed at a time.
    """
    timings: list[tuple[int, float]] = []
    number = 1
    operation(1)  # warm-up
    while True:
        begin = time.perf_counter()
        operation(number)
        timings.append((number, time.perf_counter() - begin))
        if number == batch_size or (len(timings) > 1 and timings[-1][1] > _ENOUGH):
            break
        number = min(batch_size, number * _STEP)
    (n, last) = timings[-1]
    if len(timings) == 1:
        return LinearTime(batch_size, 0.0, last / n)
    before, earlier = timings[-2]
    per_example = max(last - earlier, 0.0) / (n - before)
    return LinearTime(batch_size, max(last - n * per_example, 0.0), per_example)
