"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real CT data, which are not part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SLICEINTERP_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real CT data at {folder}; set SLICEINTERP_DATA to where they are")
    return folder
