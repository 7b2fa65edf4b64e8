"""Streams of the noise under dieharder, a battery of tests of random number generators; skipped where it is absent.

``python -m pytest tests/test_noise_battery.py -m slow -n 0 -s`` prints one row for each test and stream.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import BinaryIO

import pytest
import torch

from lit_gen.noise import Noise

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("dieharder") is None, reason="dieharder (a Debian package) is not installed"),
]

TESTS = (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 17, 100, 101, 102, 202, 204, 205, 206, 207, 208, 209)


def one_example() -> Iterator[torch.Tensor]:
    """Consecutive words of one example."""
    noise = Noise(0, [0])
    while True:
        yield noise.words(1 << 16)


def first_words() -> Iterator[torch.Tensor]:
    """The first word of each of consecutive examples."""
    first = 0
    while True:
        yield Noise(0, torch.arange(first, first + (1 << 16))).words(1)
        first += 1 << 16


def batches() -> Iterator[torch.Tensor]:
    """256 words of each of 256 consecutive examples, word by word, of consecutive seeds."""
    seed = 0
    while True:
        yield Noise(seed, range(256)).words(256).T.contiguous()
        seed += 1


def normals() -> Iterator[torch.Tensor]:
    """Normal draws, as 32-bit integers that are uniform if the draws are normal."""
    first = 0
    while True:
        z = Noise(1, torch.arange(first, first + 256)).normal(512).double()
        # The fractional part of 2^8 times the probability below z: float32 has about 24 digits, and z as many.
        u = torch.special.ndtr(z)
        yield (u * 2**16 % 1 * 2**16).to(torch.int32).to(torch.uint16)
        first += 256


@pytest.mark.parametrize("stream", [one_example, first_words, batches])
def test_no_test_of_the_battery_fails(stream: type) -> None:
    words = stream()
    p_values = {test: p for test in TESTS for p in _p_values(test, words)}
    for test, p in sorted(p_values.items()):
        print(f"{stream.__name__:12} dieharder -d {test:3}: p = {p:.6f}")
    assert len(p_values) == len(TESTS)
    # Both tails; about 120 p-values over all streams.
    assert all(1e-6 < p < 1 - 1e-6 for p in p_values.values())


def _p_values(test: int, words: Iterator[torch.Tensor]) -> list[float]:
    command = ["dieharder", "-d", str(test), "-g", "200", "-D", "test_name", "-D", "pvalues"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    writer = threading.Thread(target=_write, args=(process.stdin, words), daemon=True)
    writer.start()
    output = process.stdout.read().decode()
    process.wait()
    writer.join()
    return [float(p) for p in re.findall(r"\|\s*([01]\.\d+)", output)]


def _write(pipe: BinaryIO, words: Iterator[torch.Tensor]) -> None:
    try:
        for block in words:
            pipe.write(block.numpy().tobytes())
    except BrokenPipeError:
        return  # the test has read enough
