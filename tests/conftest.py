"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real, public data files; tests that need it skip without one."""
    folder = os.environ.get("MIXGRID_TEST_DATA")
    if not folder:
        pytest.skip("MIXGRID_TEST_DATA is not set")
    return Path(folder)
