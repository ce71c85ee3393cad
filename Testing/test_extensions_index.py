"""What Slicer's Extensions Index demands of an extension, read as its checker reads it: as text."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENTRY = ROOT / "Resources/ExtensionsIndex/SliceInterp.json"

PLACEHOLDER = "OW" + "NER"
"""Put together, so that it does not stand here."""

SCHEMA = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "dicom_support_rule": str,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
"""The properties of slicer-extension-catalog-entry-schema-v1.0.2, and their types."""


def described(field):
    """A field of the extension: one line that sets a text without variables, as the index asks."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.findall(rf'set\s*\(EXTENSION_{field}\s*"([^"]+)"\)', text, re.IGNORECASE)
    assert len(found) == 1, field
    assert "$" not in found[0]
    return found[0]


def test_all_fields_are_set():
    for field in ("HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "DEPENDS"):
        assert described(field)


def test_the_project_has_the_name_of_the_entry():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    first = re.search(r"project\s*\(\s*([^\s)]+)", text, re.IGNORECASE)
    assert first[1] == ENTRY.stem
    assert not ENTRY.stem.lower().startswith("slicer")


def test_icon_and_screenshots_are_pictures_of_this_repository():
    raw = described("HOMEPAGE").replace("//github.com/", "//raw.githubusercontent.com/") + "/main/"
    (icon,), shown = described("ICONURL").split(), described("SCREENSHOTURLS").split()
    assert len(set(shown)) == len(shown) >= 1
    for url in (icon, *shown):
        assert url.startswith(raw) and url.endswith(".png")
        header = (ROOT / url.removeprefix(raw)).read_bytes()[:24]
        assert header[:8] == b"\x89PNG\r\n\x1a\n"
        assert url != icon or struct.unpack(">II", header[16:]) == (128, 128)


def test_the_entry_is_as_its_schema_says():
    text = ENTRY.read_bytes().decode()
    assert "\r" not in text
    entry = json.loads(text)
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert {"$schema", "category", "scm_url"} <= set(entry) <= set(SCHEMA)
    for key, value in entry.items():
        assert type(value) is SCHEMA[key], key
    assert 1 <= entry["tier"] <= 5
    assert entry["scm_url"].startswith("https://")
    assert "slicer" in entry["scm_url"].rsplit("/", 1)[1].lower()


def test_the_entry_says_the_same_as_the_extension():
    entry = json.loads(ENTRY.read_text(encoding="utf-8"))
    assert entry["build_dependencies"] == described("DEPENDS").split()
    assert entry["category"] == described("CATEGORY")
    assert entry["scm_url"] == described("HOMEPAGE")


def test_there_is_a_licence():
    assert (ROOT / "LICENSE.txt").exists()


def test_the_placeholder_stands_only_where_contributing_says():
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no git checkout")
    found = subprocess.run(
        ["git", "grep", "--files-with-matches", "--word-regexp", PLACEHOLDER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    guide = "CONTRIBUTING.md"
    text = (ROOT / guide).read_text(encoding="utf-8")
    section = text.split("\n## Before the repository is published")[1]
    listed = re.findall(r"^- `([^`]+)`:", section, re.M)
    assert set(found) - {"", guide} == set(listed)
