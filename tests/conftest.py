"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported anywhere: two threads on two busy cores are slower than one, and results are the same.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "disabled"
# What hypothesis keeps, such as a table of Unicode, is not to be in the checkout.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(Path(tempfile.gettempdir(), f"hypothesis-{os.getuid()}")))

REPO = Path(__file__).resolve().parents[1]
SHELF = REPO.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shelf() -> Path:
    """The folder of real data sets beside the checkout, laid out as on the hub; skips where it is absent."""
    if not SHELF.is_dir():
        pytest.skip(f"needs the data shelf at {SHELF}")
    return SHELF


@pytest.fixture(scope="session", autouse=True)
def _no_end_by_force() -> None:
    """A stopped run that is slow to end, on a busy machine, does not end the tests' own process; others still end."""
    from lit_gen.stopping import processes

    processes.GRACE = 600.0


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded data and reference statistics go to a folder of this session: nothing of the user's is read."""
    before = os.environ.get("LIT_GEN_CACHE")
    os.environ["LIT_GEN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["LIT_GEN_CACHE"]
    else:
        os.environ["LIT_GEN_CACHE"] = before


@pytest.fixture(autouse=True)
def _filters_survive() -> Iterator[None]:
    """A command hushes warnings for its own process; that must not soften the tests after it."""
    with warnings.catch_warnings():
        yield
