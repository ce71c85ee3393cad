"""What the panel says beforehand: what Apply would do, or why it cannot, and what to do then."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import slicer  # noqa: E402
from as_slicer_loads import acquisition_transform  # noqa: E402
from driving import add_ct, choose  # noqa: E402

from SliceInterpLib.errors import SliceInterpError, ThinSlicesError  # noqa: E402
from SliceInterpLib.interpolators import make_interpolator  # noqa: E402
from SliceInterpLib.scene import nodes, processing  # noqa: E402
from SliceInterpLib.upsampling import upsample  # noqa: E402


def test_an_empty_scene_says_what_to_do(widget):
    assert not widget.ui.applyButton.enabled
    assert "Choose the volume" in widget.ui.planLabel.text
    assert widget.ui.applyButton.toolTip == widget.ui.planLabel.text


def test_the_plan_is_told_beforehand(widget):
    choose(widget, add_ct(slices=32))
    text = widget.ui.planLabel.text
    assert text.startswith("32 slices, 5.0 mm → 63 slices, 2.5 mm, about ")
    assert text.endswith("on CPU")
    assert widget.ui.applyButton.enabled
    widget.panel._parameters.factor = "4"
    assert "→ 125 slices, 1.2 mm" in widget.ui.planLabel.text


def test_the_first_volume_is_chosen_on_opening(widget):
    widget.parent.exit()
    node = add_ct()
    widget.parent.enter()
    assert widget.ui.inputSelector.currentNode() is node
    assert widget.ui.applyButton.enabled


def thin():
    return add_ct(spacing=(1.0, 1.0, 1.0))


def partly_thin():
    node = add_ct()
    acquisition_transform(node, np.outer([0.0, 0, 0, -4.5, -4.5, -4.5], [0, 0, 1.0]))
    return node


def with_missing_slices():
    node = add_ct()
    acquisition_transform(node, np.outer([0.0, 0, 0, 10, 10, 10], [0, 0, 1.0]))
    return node


def with_values(change):
    def make():
        node = add_ct()
        slicer.util.updateVolumeFromArray(node, change(slicer.util.arrayFromVolume(node)))
        return node

    return make


def result():
    source = add_ct()
    doubled = upsample(nodes.volume_from_node(source), make_interpolator("linear"))
    return nodes.add_output_node(doubled, source)


REFUSED = [
    (lambda: add_ct(slices=1), "fewer than 2 slices"),
    (thin, "adds no detail"),
    (partly_thin, "every gap filled or none"),
    (with_missing_slices, "Slices are missing"),
    (with_values(abs), "none is below 0"),
    (with_values(lambda hu: (abs(hu) % 256).astype(np.uint8)), "8-bit picture"),
    (with_values(lambda hu: np.maximum(hu, -9)), "only 0.0% of the voxels"),
    (result, "SliceInterp made this"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_why_apply_is_disabled(widget, make, reason):
    """Nothing of a command line or of Python reaches who reads a panel."""
    choose(widget, make())
    assert not widget.ui.applyButton.enabled
    told = widget.ui.planLabel.text
    assert reason in told
    assert "--" not in told and "=True" not in told


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_scripts_are_told_the_same(scene, make, reason):
    with pytest.raises(SliceInterpError, match=reason) as refused:
        processing.process(make(), method="linear")
    assert "--" not in str(refused.value)
    if isinstance(refused.value, ThinSlicesError):
        assert str(refused.value).endswith("or pass allowThin=True.")


def test_thin_slices_can_be_allowed(widget):
    choose(widget, add_ct(spacing=(1.0, 1.0, 1.0)))
    assert not widget.ui.applyButton.enabled
    assert "or check 'Allow thin slices' in Advanced." in widget.ui.planLabel.text
    widget.ui.allowThinCheckBox.checked = True
    assert widget.ui.applyButton.enabled


def test_allowing_thin_slices_allows_nothing_else(widget):
    node = add_ct()
    slicer.util.updateVolumeFromArray(node, abs(slicer.util.arrayFromVolume(node)))
    choose(widget, node)
    widget.ui.allowThinCheckBox.checked = True
    assert not widget.ui.applyButton.enabled
    assert "not HU" in widget.ui.planLabel.text


def test_the_input_is_never_the_output(widget):
    node = add_ct()
    choose(widget, node, outputVolume=node)
    assert not widget.ui.applyButton.enabled
    assert "must not be the input" in widget.ui.planLabel.text
