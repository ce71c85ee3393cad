"""Fixtures for all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "host"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real CT data, which are not part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SLICEINTERP_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real CT data at {folder}; set SLICEINTERP_DATA to where they are")
    return folder


@pytest.fixture
def scene() -> object:
    """A new MRML scene (slicer.mrmlScene) in the headless host; see Testing/host."""
    pytest.importorskip("slicer", reason="the headless host needs slicer-core")
    pytest.importorskip("PySide6", reason="the headless host needs PySide6")
    import headless

    return headless.start()
