"""Hostile input: every case is a folder of bad files, a command, and how that has to end.

`python -m hostile` runs the cases, from the folder Testing, and prints a table of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hostile.case import Case

_MODULES = (
    "cases_cut",
    "cases_headers",
    "cases_attributes",
    "cases_marks",
    "cases_dicom",
    "cases_seg",
    "cases_padding",
    "cases_places",
    "cases_moments",
    "cases_models",
)


def all_cases() -> list[Case]:
    """Every case; those that need torch come last."""
    found = [case for name in _MODULES for case in import_module(f"hostile.{name}").cases()]
    return sorted(found, key=lambda case: case.learned)
