"""Versions of what is installed, and plugins."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator

import lit_gen
from lit_gen.cli.plugins import plugin_packages
from lit_gen.doctor.findings import Finding

_SHOWN = ("torch", "lightning", "jsonargparse", "torchmetrics", "torch-fidelity", "numpy", "datasets", "wandb")
_NEWEST_TESTED = (3, 13)


def versions() -> Iterator[Finding]:
    """Versions of Python and the packages."""
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if sys.version_info[:2] > _NEWEST_TESTED:
        yield Finding("python", python, "note", "Python 3.11 to 3.13 are expected to work; newer ones were not tried")
    else:
        yield Finding("python", python)
    yield Finding("lit_gen", lit_gen.__version__)
    ranges = _ranges()
    for name in _SHOWN:
        yield _package(name, ranges.get(name, ""))
    if plugins := plugin_packages():
        yield Finding("plugins", ", ".join(plugins))


def _package(name: str, wanted: str) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        needed = name not in ("datasets", "wandb", "torch-fidelity")
        advice = f'pip install "{name}{wanted}"' + ("" if needed else f", for {_FOR[name]}")
        return Finding(name, "not installed", "wrong" if needed else "note", advice)
    if wanted and not _within(version, wanted):
        return Finding(name, f"{version}, outside {wanted}", "wrong", f'pip install "{name}{wanted}"')
    return Finding(name, version)


_FOR = {"datasets": "data of the hub", "wandb": "curves in Weights & Biases", "torch-fidelity": "FID"}


def _ranges() -> dict[str, str]:
    """The range of each dependency, as the installed package states it."""
    try:
        stated = importlib.metadata.requires("lit_gen") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = [re.match(r"([\w-]+)(?:\[[^\]]*\])?\s*([^;]*)(;.*extra.*)?", line) for line in stated]
    return {match[1].lower(): match[2].strip(" ()") for match in found if match and not match[3]}


def _within(version: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet  # Lightning depends on it

    return SpecifierSet(wanted).contains(version, prereleases=True)
