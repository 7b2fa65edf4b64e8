"""Seconds and memory of each statistic beside torch-fidelity, pytorch-fid and prdc, on the same features in one run.

``python -m pytest tests/benchmarks/test_statistics.py -m benchmark -n 0 -s``. Features are random, 2,048 a sample; one
thread, CPU seconds of a process of its own, and what its peak memory grew by beyond the features. Ours give standard
errors too, which the peers do not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .statistic_peers import RUNS

SIZES = tuple(int(n) for n in os.environ.get("LIT_GEN_SIZES", "1000,10000").split(","))
ENV = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"}


def measured(name: str, n: int) -> dict[str, Any] | None:
    """A statistic's figures; None where a peer is not installed, or does not run."""
    script = Path(__file__).with_name("statistic_peers.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), name, str(n)],
        capture_output=True, text=True, env={**os.environ, **ENV},
    )
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1] if done.stderr else 'was killed'}")
        return None
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.mark.benchmark
@pytest.mark.parametrize("n", SIZES)
def test_seconds_and_memory_beside_the_peers(n: int) -> None:
    found = {name: measured(name, n) for name in RUNS}
    print(f"\n| {n:,} samples and examples | CPU s | wall s | MiB | values |\n|---|---|---|---|---|")
    for name, row in found.items():
        if row is not None:
            values = ", ".join(f"{key.split('_')[-1]} {value:.7g}" for key, value in row["numbers"].items())
            print(f"| {name} | {row['seconds']:.1f} | {row['wall']:.1f} | {row['mebibytes']:.0f} | {values} |")

    def number(name: str, key: str) -> float:
        row = found[name]
        return float("nan") if row is None else float(row["numbers"][key])

    if found["FD torch-fidelity"] is not None:
        theirs = number("FD torch-fidelity", "frechet_inception_distance")
        # Below the number of features, torch-fidelity adds up roots of rounding errors.
        assert number("FD", "fd") == pytest.approx(theirs, rel=1e-6 if n > 2048 else 1e-3)
    if found["PrecisionRecall torch-fidelity"] is not None:
        # Its distances are in float32: pairs at the edge of a ball may fall on either side.
        for key in ("precision", "recall"):
            assert number("PrecisionRecall", key) == pytest.approx(
                number("PrecisionRecall torch-fidelity", key), abs=2 / n
            )
    if found["DensityCoverage prdc"] is not None:
        theirs = number("DensityCoverage prdc", "coverage")
        assert number("DensityCoverage", "coverage") == pytest.approx(theirs, abs=2 / n)
