"""Noise and time of the steps."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch

from callbacks.toys import Counter, train
from lit_gen.callbacks import StepSeed, Throughput


class _Noise(L.Callback):
    """A number drawn in each step, after as many others as asked for in the step before."""

    def __init__(self, extra: int = 0) -> None:
        self.extra = extra
        self.drawn: list[float] = []

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self.drawn.append(float(torch.rand(())))
        torch.rand(self.extra)


def test_noise_of_a_step_depends_on_seed_and_step_alone() -> None:
    def drawn(seed: int, extra: int) -> list[float]:
        noise = _Noise(extra)
        train(Counter(), StepSeed(seed), noise, limit_val_batches=0)
        return noise.drawn

    plain = drawn(1, 0)
    assert len(set(plain)) == 6, "each step has noise of its own"
    assert drawn(1, 7) == plain
    assert not set(drawn(2, 0)) & set(plain)


def test_training_time_leaves_validation_out() -> None:
    class Slow(L.Callback):
        def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
            time.sleep(0.2)

        def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
            time.sleep(0.05)

    measured = Throughput()
    since = time.perf_counter()
    train(Counter(), measured, Slow())
    whole = time.perf_counter() - since
    assert 6 * 0.05 <= measured.train_seconds <= whole - 6 * 0.2
    again = Throughput()
    again.load_state_dict(measured.state_dict())
    train(Counter(), again, Slow(), limit_val_batches=0)
    assert again.train_seconds >= measured.train_seconds + 6 * 0.05
