"""What takes time goes on beside the panel: the latest counts, and what is outdated is dropped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import shiboken6  # noqa: E402
import slicer  # noqa: E402
from driving import CLOT, choose, events, place_seed, settle  # noqa: E402

from SliceInterpLib.phantom import sample_head  # noqa: E402
from SliceInterpLib.scene import jobs, nodes, sample_data, segmentations  # noqa: E402
from SliceInterpLib.volumetry.segmentation import Segmenter  # noqa: E402
from SliceInterpLib.volumetry.settings import SegmentationSettings  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


# The sample


@pytest.fixture
def windows(monkeypatch):
    """The progress windows that a user would see."""
    made, make = [], slicer.util.createProgressDialog
    monkeypatch.setattr(
        slicer.util, "createProgressDialog", lambda **more: made.append(make(**more)) or made[-1]
    )
    return made


def volumes():
    return slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")


def wait(job):
    while job.outcome is None:
        events()
    events()  # in which its window goes


def test_the_phantom_is_drawn_beside_the_window(scene, private_tmp, windows):
    sample_data.register(thumbnail="head.png")
    job = sample_data.start_loading(matrix=64)
    assert not volumes()
    (window,) = windows
    assert window.visible
    shown = set()
    while shiboken6.isValid(window):
        shown.add(window.value)
        events()
    assert job.outcome
    assert len(shown) > 2
    (node,) = volumes()
    assert node.GetName() == sample_data.NAME
    drawn = sample_head(64)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), drawn.hu)
    np.testing.assert_allclose(nodes.volume_from_node(node).slice_origins, drawn.slice_origins)
    assert not list(private_tmp.iterdir())


def test_sample_data_starts_it(scene, monkeypatch):
    started = []
    monkeypatch.setattr(sample_data, "start_loading", lambda: started.append(True))
    sample_data.register(thumbnail="head.png")
    (source,) = slicer.modules.sampleDataSources["SliceInterp"]
    source.customDownloader(source)
    assert started


@pytest.mark.parametrize("how", ["the window", "the scene"])
def test_a_phantom_that_is_not_wanted_any_more(scene, private_tmp, windows, shown_errors, how):
    job = sample_data.start_loading(matrix=256)
    while not job._child:
        events()
    if how == "the window":
        windows[0].canceled.emit()
    else:
        scene.Clear()
    wait(job)
    assert not volumes()
    assert not shiboken6.isValid(windows[0])
    assert not shown_errors
    assert not list(private_tmp.iterdir())


def test_a_phantom_that_cannot_be_drawn(scene, windows, shown_errors, monkeypatch, tmp_path):
    crash = tmp_path / "crash.py"
    crash.write_text("import os; os.abort()")
    monkeypatch.setattr(jobs.worker, "__file__", str(crash))
    wait(sample_data.start_loading(matrix=64))
    assert len(shown_errors) == 1
    assert not shiboken6.isValid(windows[0])
    assert not volumes()


# The hematoma


@pytest.fixture
def source(scene, quick_phantom):
    return sample_data.load_phantom(matrix=96)


@pytest.fixture
def section(source, widget):
    choose(widget, source)
    return widget.panel.volumetry


def text_of(widget):
    return widget.ui.volumetryLabel.text


def previews():
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def test_of_previews_the_latest_counts(widget, section, source, monkeypatch):
    shown, real = [], segmentations.set_mask
    monkeypatch.setattr(
        segmentations, "set_mask", lambda *what: shown.append(what[-1]) or real(*what)
    )
    widget.ui.automaticCheckBox.checked = False
    widget.ui.highSlider.value = 95
    place_seed(source)
    for low in (50, 55, 60):
        widget.ui.lowSlider.value = low
        section.update_preview()
    settle(widget)
    rule = [CLOT], SegmentationSettings(low_hu=60, high_hu=95)
    found = Segmenter(nodes.volume_from_node(source)).segment(*rule)
    for mask in shown:  # one for what was asked, and one for the slider, which asks again
        np.testing.assert_array_equal(mask, found.mask)
    assert len(shown) <= 2
    assert "60…95 HU" in text_of(widget)


def test_segment_is_not_lost_when_a_slider_is_moved_at_once(widget, section, source):
    place_seed(source)
    widget.ui.segmentButton.click()
    assert not widget.ui.segmentButton.enabled
    widget.ui.automaticCheckBox.checked = False
    widget.ui.lowSlider.value = 70
    settle(widget)
    kept = widget.ui.segmentationSelector.currentNode()
    assert segmentations.rule_of(kept, source)[1] == SegmentationSettings()
    assert len(previews()) == 2
    assert widget.ui.segmentButton.enabled


def test_a_volume_that_is_deleted_meanwhile(widget, section, source, scene, shown_errors):
    place_seed(source)
    widget.ui.segmentButton.click()
    scene.RemoveNode(source)
    settle(widget)
    assert not previews()
    assert not shown_errors


def test_a_scene_that_is_closed_meanwhile(widget, section, source, scene, shown_errors):
    place_seed(source)
    widget.ui.segmentButton.click()
    settle(widget)
    widget.ui.measureButton.click()
    scene.Clear()
    settle(widget)
    assert not slicer.util.getNodesByClass("vtkMRMLTableNode")
    assert not shown_errors


def test_a_module_that_is_left_meanwhile(widget, section, source, shown_errors):
    place_seed(source)
    widget.ui.segmentButton.click()
    widget.parent.exit()
    settle(widget)
    assert not previews()
    widget.parent.enter()
    widget.ui.segmentButton.click()
    settle(widget)
    assert len(previews()) == 1
    assert not shown_errors


def test_a_volume_that_changes_meanwhile(widget, section, source):
    place_seed(source)
    widget.ui.segmentButton.click()
    slicer.util.arrayFromVolume(source)[:] = -1000
    slicer.util.arrayFromVolumeModified(source)
    settle(widget)
    assert "changed" in text_of(widget)
    assert not previews()
    widget.ui.segmentButton.click()
    settle(widget)
    assert "No intracranial space" in text_of(widget)


def test_a_segmentation_that_is_deleted_meanwhile(widget, section, source, scene):
    from SliceInterpLib.interpolators import make_interpolator
    from SliceInterpLib.upsampling import upsample

    nodes.add_output_node(
        upsample(nodes.volume_from_node(source), make_interpolator("linear")), source
    )
    place_seed(source)
    widget.ui.segmentButton.click()
    settle(widget)
    widget.ui.surfacesButton.click()
    scene.RemoveNode(widget.ui.segmentationSelector.currentNode())
    settle(widget)
    assert "deleted meanwhile" in text_of(widget)
    assert not previews()


def test_a_child_that_dies_is_told_and_replaced(widget, section, source):
    place_seed(source)
    widget.ui.segmentButton.click()
    while section._child._job._child is None:
        events()
    os.kill(section._child._job._child, signal.SIGKILL)
    settle(widget)
    assert "ended before it was done" in text_of(widget)
    assert not previews()
    widget.ui.segmentButton.click()
    settle(widget)
    assert len(previews()) == 1


def test_one_child_answers_all(widget, section, source):
    place_seed(source)
    settle(widget)
    job = section._child._job
    widget.ui.segmentButton.click()
    settle(widget)
    widget.ui.measureButton.click()
    settle(widget)
    assert section._child._job is job
    assert "All measures" in text_of(widget)


# What is imported


def test_the_panel_and_a_scan_bring_nothing_heavy(tmp_path):
    """They'd be imported while the window waits; what computes is in the child processes."""
    code = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "Testing" / "host")!r}]
import headless, slicer
headless.start()
from driving import MODULE, load_volume, place_seed, choose, settle, close
from pathlib import Path
import numpy as np
hu = np.load({str(tmp_path / "hu.npy")!r})
slicer.util.addVolumeFromArray(hu, np.diag([-3.0, -3.0, 5.0, 1.0]), "CT")
module = headless.register_module(MODULE)
module.widgetRepresentation().enter()
widget = module.widgetRepresentation().self()
for file in ("ct.mha", "ct.nii.gz", "ct.dcm"):
    node = load_volume([Path({str(tmp_path)!r}, file)], file)
    choose(widget, node)
    assert widget.ui.planLabel.text
place_seed(node, (0.0, 0.0, 0.0))
widget.ui.segmentButton.click()
settle(widget)
assert widget.ui.volumetryLabel.text
close(widget)
print(*sorted({{"scipy", "SimpleITK", "pydicom", "torch", "matplotlib"}} & set(sys.modules)))
"""
    import SimpleITK as sitk
    from dicom_files import write_slice

    hu = np.random.default_rng(0).integers(-1000, 100, (4, 32, 32)).astype(np.int16)
    np.save(tmp_path / "hu.npy", hu)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((1.0, 1.0, 5.0))
    for file in ("ct.mha", "ct.nii.gz"):
        sitk.WriteImage(image, str(tmp_path / file))
    write_slice(tmp_path / "ct.dcm", (0, 0, 0), series="1.2", pixels=hu[0])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.split()
