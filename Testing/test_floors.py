"""Imports point down the floors of the house, and nothing but one door leads to the laboratory."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "SliceInterpLib"

FLOORS = (
    ("errors", "gaps", "hounsfield", "head_box", "dense_flow", "table", "process"),
    ("volume", "volume_checks"),
    (
        "padding",
        "marks",
        "acquired",
        "doublable",
        "fineness",
        "grids",
        "phantom",
        "phantom_anatomy",
    ),
    ("files",),
    ("networks",),
    ("interpolators",),
    ("upsampling", "uniform"),
    ("volumetry",),
    ("evidence",),
    ("archive",),
    ("report",),
    ("job_folder", "tasks", "hematoma", "worker"),
    ("scene",),
    ("cli",),
    ("lab",),
)
"""The library's packages and modules from the ground up; those of one floor may know each other."""

HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
DOOR = LIBRARY / "cli" / "lab.py"

MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path != LIBRARY / "__init__.py")


def room_of(path):
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imported(tree, package):
    """The dotted names of what is imported anywhere in a module, by statement or by its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = [*package[: len(package) - node.level + 1], *base]
            yield from (".".join([*base, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("SliceInterpLib."):
            yield str(node.value)


def rooms_used(source, package=("SliceInterpLib",)):
    names = (name.split(".") for name in imported(ast.parse(source), package))
    return {name[1] for name in names if name[0] == "SliceInterpLib" and len(name) > 1}


@pytest.mark.parametrize(
    ("source", "room"),
    [
        ("import SliceInterpLib.lab.speed", "lab"),
        ("from SliceInterpLib import lab", "lab"),
        ("def f():\n    from SliceInterpLib.lab.speed import speed_table", "lab"),
        ("import importlib\nimportlib.import_module('SliceInterpLib.lab.speed')", "lab"),
        ("from ..lab import speed", "lab"),
        ("from . import nodes", "scene"),
    ],
)
def test_every_way_of_importing_is_seen(source, room):
    assert room in rooms_used(source, ("SliceInterpLib", "scene"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_imports_point_down(path):
    package = path.relative_to(ROOT).parent.parts
    used = rooms_used(path.read_text(encoding="utf-8"), package) & {room_of(m) for m in MODULES}
    assert {room_of(path), *used} <= set(HEIGHT), "a room that stands on no floor"
    above = {room for room in used if HEIGHT[room] > HEIGHT[room_of(path)]}
    assert above == ({"lab"} if path == DOOR else set())


def test_slicer_s_module_does_not_know_the_laboratory():
    sources = (ROOT / "SliceInterp").rglob("*.py")
    assert not any("lab" in rooms_used(path.read_text(encoding="utf-8")) for path in sources)
