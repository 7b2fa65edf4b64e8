"""Fixtures that every room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHELF = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shelf() -> Path:
    """The folder of real data sets beside the checkout, laid out as on the hub; skips where it is absent."""
    if not SHELF.is_dir():
        pytest.skip(f"needs the data shelf at {SHELF}")
    return SHELF
