"""The skulls in 3D: surfaces, their views and linked cameras, rendered off-screen."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

from driving import events  # noqa: E402

from SliceInterpLib.scene import skulls  # noqa: E402
from SliceInterpLib.scene.comparison import Comparison  # noqa: E402
from SliceInterpLib.scene.comparison_layout import (  # noqa: E402
    COLUMNS,
    LAYOUT,
    LAYOUT_WITH_SKULLS,
    VIEW_GROUP,
    view_3d_node,
)


@pytest.fixture
def shown(volumes, views):
    compared = Comparison(views.renderer)
    compared.show(*volumes)
    compared.show_skulls(True)
    events()
    for column in COLUMNS:
        views.of(view_3d_node(column))
    compared.fit()
    yield compared
    compared.leave()


def models():
    return [m for m in slicer.util.getNodesByClass("vtkMRMLModelNode") if "skull" in m.GetName()]


def arrangement(scene):
    return scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement()


def test_each_skull_has_its_own_view(shown, scene, volumes):
    assert arrangement(scene) == LAYOUT_WITH_SKULLS
    for model, column, volume in zip(models(), COLUMNS, volumes, strict=True):
        display = model.GetDisplayNode()
        view = view_3d_node(column)
        assert display.GetViewNodeIDs() == (view.GetID(),)
        assert view.GetLinkedControl() and view.GetViewGroup() == VIEW_GROUP
        assert volume.GetName() in model.GetName()
        assert not model.GetSaveWithScene() and not display.GetSaveWithScene()


def test_the_skull_is_where_the_scan_is(volumes, scene):
    """Also under a transform: the bone's surface is within the volume, and nearly as large."""
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(
            np.array([[0.8, -0.6, 0, 9], [0.6, 0.8, 0, 7], [0, 0, 1, -30], [0, 0, 0, 1.0]])
        )
    )
    for volume in volumes:
        volume.SetAndObserveTransformNodeID(parent.GetID())
    compared = Comparison()
    compared.show(*volumes)
    compared.show_skulls(True)
    events()
    inside, outside = np.zeros(6), np.zeros(6)
    models()[2].GetRASBounds(inside)
    volumes[2].GetRASBounds(outside)
    assert (inside[::2] > outside[::2]).all() and (inside[1::2] < outside[1::2] + 0.1).all()
    assert (inside[1::2] - inside[::2] > 0.4 * (outside[1::2] - outside[::2])).all()
    compared.leave()


def test_the_skulls_go_with_the_switch_and_with_the_comparison(shown, scene, volumes):
    shown.show_skulls(False)
    assert not models()
    assert arrangement(scene) == LAYOUT
    assert shown.shown
    count = scene.GetNumberOfNodes()
    shown.show_skulls(True)
    shown.show_skulls(True)
    assert len(models()) == 3
    shown.leave()
    assert not models()
    assert scene.GetNumberOfNodes() == count
    assert arrangement(scene) not in (LAYOUT, LAYOUT_WITH_SKULLS)
    shown.show_skulls(True)  # without the comparison there is no row for them
    assert not models()


def test_the_cameras_move_together(shown, views):
    first, second, third = (views.of(view_3d_node(column)) for column in COLUMNS)
    assert first.camera() is not second.camera()
    before = first.camera().GetPosition()
    assert second.camera().GetPosition() == pytest.approx(before)
    first.turn(40)
    after = first.camera().GetPosition()
    assert np.linalg.norm(np.subtract(after, before)) > 100
    for view in (second, third):
        assert view.camera().GetPosition() == pytest.approx(after)


def test_the_picture_shows_three_skulls(shown, views, tmp_path):
    import host_views

    row = [view_3d_node(column) for column in COLUMNS]
    picture = views.grab([row])
    host_views.write_png(picture, tmp_path / "skulls.png")
    original, linear, _ = (views.of(node).grab().astype(int) for node in row)
    for one in (original, linear):
        seen = one.max(axis=2) > 40
        assert 0.15 < seen.mean() < 0.8  # a head before black
        assert not seen[:3].any() and not seen[:, :3].any() and not seen[:, -3:].any()
    assert np.abs(original - linear).max() > 30  # no two views show the same surface


def test_a_scan_in_a_brain_window_has_no_bone(scene):
    hu = np.full((3, 8, 8), 100, np.int16)
    node = slicer.util.addVolumeFromArray(hu, np.eye(4), "brain", "vtkMRMLScalarVolumeNode")
    assert skulls.highest_hu(node) < skulls.SURFACE_HU
    assert skulls.bone_surface(node).GetNumberOfPoints() == 0
    compared = Comparison()
    compared.show(node, node, node)
    compared.show_skulls(True)  # a script's doing, and no harm
    compared.leave()
