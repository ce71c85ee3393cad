"""The module when Slicer starts, with a main window and without, before anybody has opened it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402
from driving import MODULE, add_ct, choose, finish, open_scene, save_scene  # noqa: E402

from SliceInterpLib.scene.comparison import Comparison  # noqa: E402
from SliceInterpLib.scene.comparison_layout import (  # noqa: E402
    LAYOUT,
    LAYOUT_WITH_SKULLS,
    layout_node,
)

HEAVY = {"scipy", "SimpleITK", "torch", "pydicom", "matplotlib"}
"""Names of packages that take long to import."""


@pytest.fixture
def bare_scene():
    """As without a main window: no layout node, no colour nodes."""
    scene = headless.start(bare=True)
    assert not layout_node()
    assert not scene.GetFirstNodeByClass("vtkMRMLColorNode")
    return scene


@pytest.fixture
def quiet(capfd):
    """Qt and VTK go on after an error in what they call, and print it."""
    yield
    printed = capfd.readouterr().err
    assert "Traceback" not in printed, printed


@pytest.fixture
def widget(bare_scene, quiet):
    _, widget = headless.load_module(MODULE)
    widget.parent.enter()
    yield widget
    widget.cleanup()
    finish(widget)


def run_python(code):
    """Run it in a process of its own, with the host and with this checkout's library."""
    paths = [str(MODULE.parents[1]), str(Path(headless.__file__).parent)]
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_starting_slicer_imports_nothing_that_takes_long():
    code = (
        "import sys, headless\n"
        "headless.start()\n"
        f"headless.register_module({str(MODULE)!r})\n"
        "import slicer\n"
        "slicer.app.startupCompleted.emit()\n"
        "assert slicer.modules.sampleDataSources['SliceInterp']\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = run_python(code)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert not done.stdout.split()


def test_slicer_is_told_of_the_sample_and_the_layouts(scene, quiet):
    headless.register_module(MODULE)
    slicer.app.startupCompleted.emit()
    (source,) = slicer.modules.sampleDataSources["SliceInterp"]
    assert Path(source.thumbnailFileName).exists()
    assert layout_node().IsLayoutDescription(LAYOUT)


def test_without_a_main_window_the_layouts_wait(bare_scene, quiet):
    headless.register_module(MODULE)
    slicer.app.startupCompleted.emit()
    assert slicer.modules.sampleDataSources["SliceInterp"]
    assert not layout_node()
    bare_scene.AddNewNodeByClass("vtkMRMLLayoutNode")
    assert all(map(layout_node().IsLayoutDescription, (LAYOUT, LAYOUT_WITH_SKULLS)))


def test_a_slicer_without_sample_data(scene, quiet, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    headless.register_module(MODULE)
    slicer.app.startupCompleted.emit()
    assert layout_node().IsLayoutDescription(LAYOUT)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_scene_saved_in_the_comparison_opens_in_it(volumes, quiet, tmp_path, when):
    """Before the start was over, as one named on the command line, or later."""
    Comparison(lambda view: None).show(*volumes)
    save_scene(tmp_path / "scene.mrb")
    headless.start(bare=True)
    headless.register_module(MODULE)
    for moment in ("before", "after"):
        if moment == when:
            open_scene(tmp_path / "scene.mrb")
        if moment == "before":
            slicer.app.startupCompleted.emit()
    assert layout_node().GetViewArrangement() == LAYOUT
    assert "SliceInterpAxial-Original" in layout_node().GetCurrentLayoutDescription()


@pytest.mark.parametrize("bare", [False, True])
def test_scripts_need_no_panel(bare, quiet):
    headless.start(bare=bare)
    headless.register_module(MODULE)
    logic = slicer.util.getModuleLogic("SliceInterp")
    source = add_ct()
    before = slicer.mrmlScene.GetNumberOfNodes()
    node = logic.process(source, method="linear")
    assert len(slicer.util.arrayFromVolume(node)) == 11
    assert node.GetNodeReference("SliceInterp.source") is source
    # The result, how it is shown, and nothing of a panel that nobody has opened.
    assert slicer.mrmlScene.GetNumberOfNodes() <= before + 2
    assert logic.getParameterNode().factor == "2"


def test_a_run_in_a_scene_without_views_and_colours(widget):
    source = add_ct()
    choose(widget, source, method="Linear", compare="Cubic")
    widget.ui.applyButton.click()
    finish(widget)
    assert "11 slices" in widget.ui.statusLabel.text
    assert not widget.ui.compareButton.enabled
    widget.ui.checkButton.click()
    finish(widget)
    assert "Checked on this scan: 4 slices" in widget.ui.statusLabel.text
    active = slicer.app.applicationLogic().GetSelectionNode().GetActiveVolumeID()
    assert slicer.mrmlScene.GetNodeByID(active).GetNodeReference("SliceInterp.source") is source


def test_slicers_own_test_passes_without_views(bare_scene, quiet, caplog):
    headless.register_module(MODULE)
    slicer.selfTests["SliceInterp"]()
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_reload_takes_the_library_along():
    code = (
        "import sys, headless, slicer\n"
        "headless.start()\n"
        f"_, widget = headless.load_module({str(MODULE)!r})\n"
        "widget.parent.enter()\n"
        "widget._parameterNode.factor = '4'\n"
        "old, library = type(widget.panel), sys.modules['SliceInterpLib']\n"
        "widget.onReload()\n"
        "new = slicer.modules.SliceInterpWidget\n"
        "assert new is not widget and type(new.panel) is not old\n"
        "assert sys.modules['SliceInterpLib'] is not library\n"
        "assert new.panel._parameters.factor == '4'\n"
        "assert widget.panel._parameters is None\n"
        "new.parent.exit()\n"
        "new.parent.enter()\n"
    )
    done = run_python(code)
    assert done.returncode == 0 and not done.stderr, done.stderr
