"""The measurements of load: what they would miss if they were wrong, and short forms of them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import REPO

from load import agents, soak

STAND_IN = REPO.parent / "shared" / "tools" / "wandb_loopback"
GROWING = "import time\nkept = []\nfor _ in range(40): kept.append(bytearray(2**20)); time.sleep(0.1)"


def test_a_slope_ignores_peaks_and_sees_a_leak() -> None:
    minutes = np.arange(0, 60, 1 / 12)
    peaks = np.where(np.arange(len(minutes)) % 20 == 0, 500_000.0, 0.0)
    assert soak.slope(minutes, 1e6 + peaks) == 0.0
    assert soak.slope(minutes, 1e6 + peaks + 120.0 * minutes) == pytest.approx(120.0, rel=0.01)
    with pytest.raises(ValueError, match="at least two times"):
        soak.slope(minutes[:1], minutes[:1])


def test_the_memory_of_children_counts() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GROWING!r}])"
    process = subprocess.Popen([sys.executable, "-c", child])
    memory = soak.Memory()
    start = time.monotonic()
    while process.poll() is None:
        memory.minutes.append((time.monotonic() - start) / 60)
        memory.kilobytes.append(sum(map(soak.memory_of, soak.tree(process.pid))))
        time.sleep(0.2)
    middle = [found for found in memory.after(1 / 60)[1] if found]
    assert max(middle) - middle[0] > 10 * 1024
    assert soak.memory_of(process.pid) == 0


@pytest.mark.slow
def test_memory_of_short_runs(tmp_path: Path) -> None:
    found = soak.soak(sorted(soak.RUNS), 3.0, tmp_path / "soak")
    for name, memory in found.items():
        assert (tmp_path / "soak" / name / "checkpoints" / "interrupted.ckpt").is_file(), name
        assert 100_000 < min(memory.after(1.0)[1]) <= max(memory.after(1.0)[1]) < 4_000_000, name


@pytest.mark.slow
@pytest.mark.skipif(not STAND_IN.is_dir(), reason="needs the mock server of W&B")
def test_two_agents_leave_good_records(tmp_path: Path) -> None:
    outcome = agents.run(STAND_IN, 6, 2, tmp_path / "agents")
    assert (outcome.records, outcome.finished, outcome.on_board, outcome.problems) == (6, 6, 6, [])
