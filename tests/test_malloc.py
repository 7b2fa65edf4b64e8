"""Freed memory: kept for the next tensors, and given back when it is told so. In a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from lit_gen import malloc

PROGRAM = """
import torch
from lit_gen.malloc import return_freed_memory, reuse_freed_memory

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) // 1024

reuse_freed_memory()
before = resident()
blocks = [torch.ones(2**18) for _ in range(400)]  # 1 MiB each
last = torch.ones(2**18)
full = resident() - before
del blocks
kept = resident() - before
return_freed_memory()
print(full, kept, resident() - before, int(last.sum()))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="not glibc on Linux")
def test_freed_memory_is_kept_until_it_is_returned() -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    full, kept, returned, total = map(int, found.stdout.split())
    assert full >= 400
    assert kept >= 400
    assert returned < 100
    assert total == 2**18


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str | None) -> None:
        raise OSError

    assert malloc._function("no_such_function_of_any_library") is None
    monkeypatch.setattr(malloc.ctypes, "CDLL", no_library)
    malloc.reuse_freed_memory()
    malloc.return_freed_memory()
