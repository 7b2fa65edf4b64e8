"""Gradient clipping, which Lightning refuses for a fused optimizer under any mixed precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.families import VAE

from . import conformance as laws


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(("algorithm", "largest"), [("norm", 0.05), ("value", 0.01)])
def test_gradients_of_a_fused_optimizer_are_clipped(precision: Any, algorithm: str, largest: float) -> None:
    seen: list[float] = []

    class Watch(Callback):
        def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            gradients = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
            if gradients:
                whole = torch.cat(gradients)
                seen.append(float(whole.norm() if algorithm == "norm" else whole.abs().max()))

    splits = SampleSizes(num_test=20, num_val=20)
    model, source = VAE((1, 2, 2), 3), KnownEntropy((1, 2, 2), 3, splits=splits, batch_size=20)
    options = {"gradient_clip_val": largest, "gradient_clip_algorithm": algorithm, "precision": precision}
    laws.fit(model, source, 3, Watch(), **options)
    assert len(seen) >= 2
    assert all(0.9 * largest < size <= 1.01 * largest for size in seen)
