"""Devices, threads, and the precision that is fast on them, measured in about a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

from lit_gen.doctor.findings import Finding
from lit_gen.records.file_size import file_size

_SECONDS = 0.25  # of each measurement
_WORTH = 1.15  # times as fast


def devices() -> Iterator[Finding]:
    """Accelerators and processors."""
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(index)
            free, total = torch.cuda.mem_get_info(index)
            text = f"{index}: {found.name}, {file_size(free)} of {file_size(total)} free"
            busy = free < total / 2
            yield Finding("gpu", text, "note" if busy else "ok", "another process uses its memory" if busy else "")
    elif torch.backends.mps.is_available():
        yield Finding("gpu", "Apple's, by mps: expected to work, not tested; scores are taken in float32")
    else:
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built for CPUs"
        driver, build = "if there is a GPU, install its driver", "for a GPU, install a CUDA build of torch"
        hint = driver if torch.version.cuda else build
        yield Finding("gpu", f"none found; {built}", "note", f"{hint}; the digits and MNIST train on a CPU")


def threads() -> Iterator[Finding]:
    """Threads, cores, and whether others use them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    used = torch.get_num_threads()
    text = f"{used} threads on {cores} cores"
    if used > cores:
        yield Finding("threads", text, "note", f"OMP_NUM_THREADS={cores} is faster: more threads wait for each other")
    else:
        yield Finding("threads", text)
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > cores + 0.5:
        text = f"{load:.1f} processes want {cores} cores"
        yield Finding("load", text, "note", "times in records will not be comparable; wait, or say so beside them")


def precision() -> Iterator[Finding]:
    """Which precision trains fastest here."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rates: dict[str, float] = {}
    for name, step in (("matrix products", products(device)), ("convolutions", convolutions(device))):
        plain = seconds(step, device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            rates[name] = plain / seconds(step, device)
    text = ", ".join(f"{ratio:.1f} times as fast in {name}" for name, ratio in rates.items())
    mixed = "--trainer.precision=bf16-mixed"
    worth = [name for name, ratio in rates.items() if ratio >= _WORTH]
    advice = {
        0: "keep the default, float32",
        1: f"{mixed} for models of {', '.join(worth)}; the default, float32, for others",
        2: mixed,
    }[len(worth)]
    yield Finding("bf16-mixed", f"measured against float32 on {device.type}: {text}", "ok", advice)


def products(device: torch.device) -> Callable[[], None]:
    """A training step of a small fully connected network."""
    net = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512)).to(device)
    x = torch.ones(256, 512, device=device)
    return lambda: net(x).float().mean().backward()


def convolutions(device: torch.device) -> Callable[[], None]:
    """A training step of two convolutions at the size of a small U-Net."""
    net = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 32, 3, padding=1)).to(device)
    x = torch.ones(16, 32, 28, 28, device=device)
    return lambda: net(x).float().mean().backward()


def seconds(step: Callable[[], None], device: torch.device, limit: float = _SECONDS) -> float:
    """The least time of a step, in seconds: others on the machine only make it longer."""
    for _ in range(2):
        step()
    best, end = float("inf"), time.perf_counter() + limit
    while time.perf_counter() < end:
        started = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best
