"""The comparison layout: real layout logic, linking and slice views, rendered off-screen."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

from SliceInterpLib.scene import nodes, sample_data  # noqa: E402
from SliceInterpLib.scene.comparison import Comparison  # noqa: E402
from SliceInterpLib.scene.comparison_layout import (  # noqa: E402
    COLUMNS,
    LAYOUT,
    ROWS,
    VIEW_GROUP,
    composite_node,
    slice_node,
)
from SliceInterpLib.scene.overlays import Kind  # noqa: E402
from SliceInterpLib.scene.view_labels import mark_of  # noqa: E402


@pytest.fixture
def shown(volumes, views):
    compared = Comparison(views.renderer)
    compared.show(*volumes)
    for row in grid():
        for node in row:
            views.of(node)
    compared.fit()
    yield compared
    compared.leave()


def grid():
    return [[slice_node(row, column) for column in COLUMNS] for row in ROWS]


def layout(scene):
    return scene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def test_the_layout_makes_nine_linked_views(scene, volumes):
    Comparison().show(*volumes)
    assert layout(scene).GetViewArrangement() == LAYOUT
    for row, line in zip(ROWS, grid(), strict=True):
        for node, volume in zip(line, volumes, strict=True):
            assert node.GetOrientation() == row
            assert node.GetViewGroup() == VIEW_GROUP
            composite = composite_node(node)
            assert composite.GetBackgroundVolumeID() == volume.GetID()
            assert composite.GetLinkedControl() and composite.GetHotLinkedControl()


def test_the_earlier_layout_and_look_come_back(scene, volumes):
    layout(scene).SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    volumes[1].GetDisplayNode().SetWindowLevel(200, 70)
    count = scene.GetNumberOfNodes()
    compared = Comparison()
    compared.show(*volumes)
    compared.show_overlay(Kind.DIFFERENCE)
    assert volumes[1].GetDisplayNode().GetWindow() == volumes[0].GetDisplayNode().GetWindow()
    with_views = scene.GetNumberOfNodes()
    compared.leave()
    assert not compared.shown
    arrangement = layout(scene).GetViewArrangement()
    assert arrangement == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    assert volumes[1].GetDisplayNode().GetWindow() == 200
    assert volumes[0].GetDisplayNode().GetInterpolate()
    compared.show(*volumes)  # again: nothing piles up
    compared.show_overlay(Kind.DIFFERENCE)
    assert scene.GetNumberOfNodes() == with_views > count
    compared.leave()
    compared.leave()


def test_a_layout_that_the_user_chose_meanwhile_stays(scene, volumes):
    compared = Comparison()
    compared.show(*volumes)
    layout(scene).SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    compared.leave()
    assert layout(scene).GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


def test_volumes_deleted_meanwhile_do_no_harm(scene, volumes):
    compared = Comparison()
    compared.show(*volumes)
    compared.show_overlay(Kind.DIFFERENCE)
    nodes.remove_node(volumes[2])
    compared.leave()


def test_views_of_a_row_move_together(shown, views):
    axial, coronal = grid()[:2]
    before = views.of(coronal[1]).logic.GetSliceOffset()
    views.of(axial[0]).move_to(7.5)
    assert [views.of(node).logic.GetSliceOffset() for node in axial] == pytest.approx([7.5] * 3)
    assert views.of(coronal[1]).logic.GetSliceOffset() == before
    views.of(axial[2]).move_to(-2.5)
    assert views.of(axial[0]).logic.GetSliceOffset() == pytest.approx(-2.5)


def test_one_window_for_all(shown, volumes):
    volumes[2].GetDisplayNode().SetWindowLevel(300, 60)
    assert [volume.GetDisplayNode().GetWindow() for volume in volumes] == [300] * 3


def test_synthetic_slices_are_marked(shown, views, volumes):
    axial, coronal = grid()[:2]

    def marks(line):
        return [mark_of(*pair) for pair in zip(line, volumes, strict=True)]

    views.of(axial[0]).move_to(2.5)
    assert marks(axial) == ["acquired"] * 3
    views.of(axial[0]).move_to(5.0)
    assert marks(axial) == ["acquired", "synthetic", "synthetic"]
    assert written(views.of(axial[1])) == ["Linear", "synthetic"]
    views.of(axial[0]).move_to(500.0)
    assert marks(axial) == ["", "", ""]
    assert marks(coronal) == ["", "", ""]
    assert written(views.of(coronal[2])) == ["Cubic", ""]


def test_the_marks_can_be_switched_off(shown, views, volumes):
    axial = grid()[0]
    views.of(axial[0]).move_to(5.0)
    shown.show_marks(False)
    assert [written(views.of(node))[1] for node in axial] == ["", "", ""]
    views.of(axial[0]).move_to(15.0)
    assert written(views.of(axial[2])) == ["Cubic", ""]
    shown.leave()
    shown.show(*volumes)  # the choice stays
    assert [written(views.of(node))[1] for node in axial] == ["", "", ""]
    shown.show_marks(True)
    assert written(views.of(axial[0]))[1] == "acquired"


def written(view):
    props = view.renderer.GetViewProps()
    texts = [prop for prop in props if prop.IsA("vtkCornerAnnotation")]
    corner = texts[-1]
    return [corner.GetText(place) or "" for place in (corner.UpperLeft, corner.UpperRight)]


def test_labels_go_with_the_comparison(shown, views):
    view = views.of(grid()[0][1])
    assert written(view)
    shown.leave()
    assert not [one for one in view.renderer.GetViewProps() if one.IsA("vtkCornerAnnotation")]


def test_oblique_scans_are_seen_along_their_own_axes(scene, volumes):
    turn = np.eye(4)
    turn[1:3, 1:3] = [[0.94, -0.342], [0.342, 0.94]]
    turn[:3, :3], _ = np.linalg.qr(turn[:3, :3])
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turn))
    for volume in volumes:
        volume.SetAndObserveTransformNodeID(parent.GetID())
    compared = Comparison()
    compared.show(*volumes)
    normal = slicer.util.arrayFromVTKMatrix(slice_node("Axial", "Learned").GetSliceToRAS())[:3, 2]
    assert abs(normal @ turn[:3, 2]) == pytest.approx(1)
    assert mark_of(slice_node("Axial", "Learned"), volumes[2])
    compared.leave()


def steps(picture):
    """How many different rows of pixels lie on one another: the stairs."""
    middle = picture[40:, 60:240].astype(int)
    return np.count_nonzero(np.abs(np.diff(middle, axis=0)).sum(axis=(1, 2)))


def test_the_picture_shows_the_stairs_go(shown, views, tmp_path):
    import host_views

    picture = views.grab(grid())
    host_views.write_png(picture, tmp_path / "nine-views.png")
    assert picture.shape[2] == 3
    for line in grid():
        for node in line:
            view = views.of(node).grab()
            assert view.std() > 40  # neither blank nor all bone
            assert 0.05 < (view > 60).all(axis=2).mean() < 0.6
    for line in grid()[1:]:
        original, linear, cubic = (steps(views.of(node).grab()) for node in line)
        assert original < 0.7 * linear
        assert cubic == pytest.approx(linear, abs=6)


def test_the_difference_map_has_colours_and_a_scale(shown, views, scene, tmp_path):
    import host_views

    coronal = grid()[1]
    grey = views.of(coronal[2]).grab()
    count = scene.GetNumberOfNodes()
    shown.show_overlay(Kind.DIFFERENCE)
    host_views.write_png(views.grab(grid()), tmp_path / "difference.png")
    picture = views.of(coronal[2]).grab().astype(int)
    red = (picture[..., 0] - picture[..., 2]) > 100
    blue = (picture[..., 2] - picture[..., 0]) > 100
    assert red.sum() > 200 and blue.sum() > 200
    assert red[:, 280:295].any(axis=1).sum() > 30  # the scale, at the right edge
    assert written(views.of(coronal[2]))[0] == "Cubic − Linear"
    neighbour = views.of(coronal[1]).grab().astype(int)
    assert np.abs(neighbour[..., 0] - neighbour[..., 2]).max() == 0
    shown.show_overlay(None)
    assert scene.GetNumberOfNodes() == count
    assert np.array_equal(views.of(coronal[2]).grab(), grey)


def test_difference_nodes_are_not_saved(shown, scene):
    before = {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}
    shown.show_overlay(Kind.DIFFERENCE)
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        assert node.GetID() in before or not node.GetSaveWithScene()


def test_the_phantom_is_offered_as_sample_data(scene):
    sample_data.register(thumbnail="head.png")
    sample_data.register(thumbnail="head.png")
    (source,) = slicer.modules.sampleDataSources["SliceInterp"]
    assert source.sampleName == sample_data.NAME
    assert source.thumbnailFileName == "head.png"
    assert callable(source.customDownloader)


def test_the_phantom_lies_as_it_was_drawn(scene):
    node = sample_data.load_phantom(matrix=32, slice_spacing=10)
    volume = nodes.volume_from_node(node)
    assert volume.hu.shape == (16, 32, 32)
    assert volume.origin[2] == pytest.approx(-75)
    assert volume.direction == pytest.approx(np.eye(3))
    assert node.GetDisplayNode().GetWindow() == 127
