"""Memory, disks, caches, data folders, weights of feature networks, and W&B."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from lit_gen.cli.memory_checks import free_memory
from lit_gen.data.cache import cache_root
from lit_gen.data.hub_source import ROOT_VARIABLE
from lit_gen.doctor.findings import Finding
from lit_gen.errors import UserError
from lit_gen.metrics.spaces.efficientnet_lite0 import installed_weights
from lit_gen.records.file_size import file_size
from lit_gen.runs.tracking import Wandb, installed

_LEAST_DISK, _LEAST_MEMORY = 5 * 2**30, 2 * 2**30


def memory() -> Iterator[Finding]:
    """Free memory."""
    free = free_memory()
    if free is None:
        yield Finding("memory", "the system does not say how much is free")
        return
    low = free < _LEAST_MEMORY
    advice = "a run of the digits takes 1 GiB; decoded CIFAR-10 0.2 GiB more: end other processes" if low else ""
    yield Finding("memory", f"{file_size(free)} free", "note" if low else "ok", advice)


def disks() -> Iterator[Finding]:
    """Free space where runs and the cache are written."""
    for topic, folder, option in (
        ("runs", Path("runs"), "--trainer.default_root_dir=DIR"),
        ("cache", cache_root(), "LIT_GEN_CACHE=DIR"),
    ):
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
        free = shutil.disk_usage(there).free
        if not os.access(there, os.W_OK):
            yield Finding(topic, "cannot be written", "wrong", f"choose another folder: {option}", folder)
        elif free < _LEAST_DISK:
            text = f"{file_size(free)} free on its disk"
            yield Finding(topic, text, "note", f"free space (lit-gen clean, lit-gen cache), or {option}", folder)
        else:
            yield Finding(topic, f"{file_size(free)} free on its disk", place=folder)


def data() -> Iterator[Finding]:
    """Where data sets come from."""
    chosen = os.environ.get(ROOT_VARIABLE)
    if not chosen:
        hub = "downloaded from the hub when they are first used" if installed("datasets") else "the digits alone"
        advice = "" if installed("datasets") else "pip install datasets"
        yield Finding("data", f"{hub}; {ROOT_VARIABLE} is not set", "ok" if not advice else "note", advice)
        return
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        yield Finding("data", f"{ROOT_VARIABLE} is not a folder", "wrong", f"correct or unset {ROOT_VARIABLE}", folder)
        return
    count = sum(path.is_dir() for path in folder.iterdir())
    yield Finding("data", f"{ROOT_VARIABLE} holds {count} folders of data", place=folder)


def networks() -> Iterator[Finding]:
    """Weights of the feature networks."""
    yield Finding("MnistCNN", "its weights are in the package")
    try:
        installed_weights()
        yield Finding("EfficientNet", "its weights are installed")
    except UserError as error:
        advice = str(error).rpartition("; ")[2]
        yield Finding("EfficientNet", "its weights are not installed: no scores of colour images", "note", advice)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if list(folder.glob("weights-inception-*.pth")) or list(folder.glob("pt_inception-*.pth")):
        yield Finding("Inception", "its weights are downloaded", place=folder)
    elif not installed("torch_fidelity"):
        yield Finding("Inception", "torch-fidelity is not installed: no FID", "note", "pip install torch-fidelity")
    else:
        advice = "they are downloaded when FID is first asked for (95 MB); without a network, give the file as weights"
        yield Finding("Inception", "its weights are not here yet", "note", advice, folder)
    yield Finding("DINOv2, CLIP", "their weights are files that you give: --quality.extractor.weights=FILE")


def wandb() -> Iterator[Finding]:
    """Weights & Biases."""
    try:
        mode = Wandb().resolved_mode()
    except UserError as error:
        yield Finding("W&B", str(error), "wrong", "correct WANDB_MODE, or give --wandb.mode")
        return
    if not installed("wandb"):
        yield Finding("W&B", "not installed; curves are in metrics.csv", "note", "pip install wandb, if you want it")
    elif mode == "offline":
        yield Finding("W&B", "offline: runs are written to their folders", advice="wandb login, then runs are uploaded")
    else:
        yield Finding("W&B", mode)
