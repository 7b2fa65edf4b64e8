"""Measurements have the machine to themselves."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _alone(request: pytest.FixtureRequest) -> None:
    """Fails a measurement that another test would run beside."""
    if "PYTEST_XDIST_WORKER" in os.environ and request.node.get_closest_marker("benchmark"):
        pytest.fail("measurements are not taken in parallel: add -n 0", pytrace=False)
