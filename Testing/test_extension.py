"""What the extension's CMake files ship, with a stand-in for Slicer's macros that takes notes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SLICER_CONFIG = """
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/Generate.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/CPack.cmake")
"""

# One line a note: who, where, and what it was given. The checks are those of Slicer's macro.
USE_SLICER = """
set(BUILD_TESTING ON)
function(note)
  string(REPLACE ";" "|" line "${ARGN}")
  file(APPEND "${NOTES}" "${line}\\n")
endfunction()
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES"
                        ${ARGN})
  if(MY_UNPARSED_ARGUMENTS OR NOT DEFINED MY_NAME)
    message(FATAL_ERROR "Unknown keywords or no NAME: ${MY_UNPARSED_ARGUMENTS}")
  endif()
  foreach(kind SCRIPTS RESOURCES)
    foreach(value ${MY_${kind}})
      set(path "${CMAKE_CURRENT_SOURCE_DIR}/${value}")
      if(NOT EXISTS ${path} AND NOT EXISTS ${path}.py)
        message(FATAL_ERROR "nonexistent ${value}")
      endif()
      note(${kind} ${MY_NAME} ${CMAKE_CURRENT_SOURCE_DIR} ${value})
    endforeach()
  endforeach()
  note(MODULE ${MY_NAME} tests=${MY_WITH_GENERIC_TESTS} subdir=${MY_WITH_SUBDIR})
endmacro()
macro(slicer_add_python_unittest)
  note(UNITTEST ${CMAKE_CURRENT_SOURCE_DIR} ${ARGN})
endmacro()
"""


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """What the macros were given, as rows of strings."""
    if not shutil.which("cmake"):
        pytest.skip("no cmake here; Testing/install-debian-packages.sh installs it")
    folder = tmp_path_factory.mktemp("slicer")
    (folder / "SlicerConfig.cmake").write_text(SLICER_CONFIG)
    (folder / "UseSlicer.cmake").write_text(USE_SLICER)
    for name in ("Generate", "CPack"):
        (folder / f"{name}.cmake").write_text("")
    # project() wants compilers, and nothing here compiles.
    none = shutil.which("true")
    run = subprocess.run(
        [
            "cmake",
            *(f"-DCMAKE_{language}_COMPILER={none}" for language in ("C", "CXX")),
            *(f"-DCMAKE_{language}_COMPILER_FORCED=TRUE" for language in ("C", "CXX")),
            f"-DCMAKE_MAKE_PROGRAM={none}",
            "-G",
            "Unix Makefiles",
            f"-DSlicer_DIR={folder}",
            f"-DNOTES={folder / 'notes.txt'}",
            "-S",
            str(ROOT),
            "-B",
            str(folder / "build"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return [line.split("|") for line in (folder / "notes.txt").read_text().splitlines()]


def given(notes, kind, name):
    return [Path(row[2], row[3]).resolve() for row in notes if row[:2] == [kind, name]]


def files(folder, pattern):
    return {
        path
        for path in (ROOT / folder).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_python_file_but_the_laboratory_s_is_shipped(notes):
    for name in ("SliceInterp", "SliceInterpLib"):
        listed = given(notes, "SCRIPTS", name)
        assert len(listed) == len(set(listed))
        assert set(listed) == files(name, "*.py") - files("SliceInterpLib/lab", "*.py")


def test_every_resource_is_shipped(notes):
    assert set(given(notes, "RESOURCES", "SliceInterp")) == files("SliceInterp/Resources", "*")
    models = files("Resources/Models", "*")
    page = files("SliceInterpLib/report", "report.*")
    typed = files("SliceInterpLib", "py.typed")
    assert set(given(notes, "RESOURCES", "SliceInterpLib")) == models | page | typed
    assert any(path.suffix == ".safetensors" for path in models)


def test_every_package_has_its_init(notes):
    for path in files("SliceInterpLib", "*.py"):
        assert (path.parent / "__init__.py").exists(), path


@pytest.fixture
def shipped(notes, tmp_path):
    """The tree that Slicer builds, where the package is in a folder of all modules."""
    for kind in ("SCRIPTS", "RESOURCES"):
        for source, row in zip(
            given(notes, kind, "SliceInterpLib"),
            [row for row in notes if row[:2] == [kind, "SliceInterpLib"]],
            strict=True,
        ):
            target = tmp_path / "SliceInterpLib" / row[3]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return tmp_path


def test_shipped_models_lie_where_the_registry_looks(shipped):
    code = (
        "import SliceInterpLib\n"
        "from SliceInterpLib.networks.registry import DEFAULT_MODEL, find_model\n"
        f"assert SliceInterpLib.__file__.startswith({str(shipped)!r})\n"
        f"assert str(find_model().weights).startswith({str(shipped)!r})\n"
        "assert find_model().weights.exists()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=shipped, check=True)


def test_the_command_line_works_in_slicer_and_says_that_the_laboratory_is_not_there(shipped):
    def call(*arguments):
        command = [sys.executable, "-m", "SliceInterpLib.cli", *arguments]
        return subprocess.run(command, cwd=shipped, capture_output=True, text=True, check=False)

    told = call("models")
    assert told.returncode == 0 and "small" in told.stdout
    refused = call("lab", "benchmark", "scans/", "--methods", "linear")
    assert refused.returncode == 1
    assert refused.stderr.startswith("sliceinterp: error: the laboratory is not installed here")
    assert refused.stderr.count("\n") == 1


def test_the_modules_are_built_as_slicer_wants_them(notes):
    assert ["MODULE", "SliceInterp", "tests=TRUE", "subdir=FALSE"] in notes
    assert ["MODULE", "SliceInterpLib", "tests=FALSE", "subdir=TRUE"] in notes
    assert ["UNITTEST", str(ROOT / "SliceInterp"), "SCRIPT", "SliceInterp.py"] in notes


def test_the_checkout_is_small():
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    sizes = [(ROOT / name).stat().st_size for name in listed if name and (ROOT / name).exists()]
    assert sum(sizes) < 100e6


def test_no_package_is_called_testing():
    """Slicer has one of its own."""
    assert not (ROOT / "Testing/__init__.py").exists()


def test_the_requirements_are_minimum_versions_without_torch():
    lines = (ROOT / "SliceInterp/Resources/requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted
    assert all(re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", line) for line in wanted)
    assert not any(line.startswith("torch>") for line in wanted)


def test_the_panel_is_bound_to_parameters_that_exist():
    ui = ElementTree.parse(ROOT / "SliceInterp/Resources/UI/SliceInterp.ui")
    bound = {
        node.find("string").text
        for node in ui.iter("property")
        if node.get("name") == "SlicerParameterName"
    }
    source = (ROOT / "SliceInterpLib/scene/parameters.py").read_text()
    described = source.split("class Parameters:")[1]
    assert bound == set(re.findall(r"^    (\w+): ", described, re.M))
    scene = [c for c in ui.iter("connection") if "mrmlSceneChanged" in c.findtext("signal")]
    selectors = {w.get("name") for w in ui.iter("widget") if w.get("class") == "qMRMLNodeComboBox"}
    assert {c.findtext("receiver") for c in scene} == selectors
