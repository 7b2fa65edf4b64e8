"""Fixtures of the data room: a cache of its own for every test, and no network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of decoded images, and no folder of local copies."""
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIT_GEN_DATA", raising=False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands say each line once in a process, which several tests share."""
    monkeypatch.setattr(logging.getLogger("lightning.pytorch.utilities.rank_zero"), "filters", [])


@pytest.fixture
def pictures() -> Callable[..., np.ndarray]:
    """Makes n random images, uint8 [n, height, width, channels]."""

    def make(n: int, height: int = 6, width: int = 6, channels: int = 1, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (n, height, width, channels), dtype=np.uint8)

    return make


@pytest.fixture
def save_png() -> Callable[[np.ndarray, Path], Path]:
    """Writes one image, uint8 [H, W, C], to a file."""

    def save(pixels: np.ndarray, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(path)
        return path

    return save
