"""Hematomas of a real MRML scene: seeds, segmentations, measures and tables."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import vtk  # noqa: E402
from as_slicer_loads import acquisition_transform  # noqa: E402
from driving import CLOT, place_seed  # noqa: E402
from scene_hematomas import add_result, column, rows_of, turned_phantom  # noqa: E402

from SliceInterpLib.hematoma import Scan  # noqa: E402
from SliceInterpLib.scene import nodes, sample_data, segmentations, volumetry  # noqa: E402
from SliceInterpLib.volumetry.comparison import (  # noqa: E402
    ACQUIRED,
    CARRIED,
    GIVEN,
    SEGMENTED,
    difference_ml,
)
from SliceInterpLib.volumetry.mask import SegmentationError, voxel_ml  # noqa: E402
from SliceInterpLib.volumetry.segmentation import Segmenter  # noqa: E402
from SliceInterpLib.volumetry.settings import SegmentationSettings  # noqa: E402


@pytest.fixture
def source(scene, quick_phantom):
    return turned_phantom(scene)


@pytest.fixture
def found(source):
    return Segmenter(nodes.volume_from_node(source)).segment([CLOT])


def all_nodes(scene):
    return {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}


# Nodes


def test_a_seed_is_where_it_was_clicked(scene, source):
    place_seed(source)
    np.testing.assert_allclose(segmentations.seeds_of(source), [CLOT], atol=1e-6)
    logic = slicer.app.applicationLogic()
    seeds = segmentations.seeds_node_of(source)
    assert logic.GetSelectionNode().GetActivePlaceNodeID() == seeds.GetID()
    interaction = logic.GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    assert not interaction.GetPlaceModePersistence()
    segmentations.start_placing_seed(source)  # one more for the same node
    assert segmentations.seeds_node_of(source) is seeds


def test_a_seed_that_is_being_placed_does_not_count(source):
    place_seed(source)
    seeds = segmentations.seeds_node_of(source)
    seeds.AddControlPointWorld(vtk.vtkVector3d(0, 0, 0))
    seeds.UnsetNthControlPointPosition(1)
    assert len(segmentations.seeds_of(source)) == 1


def test_a_mask_goes_into_the_scene_and_comes_back(scene, source, found):
    node = segmentations.add_mask(source, found.mask, "mine")
    before = all_nodes(scene)
    mask = segmentations.mask_of(node, source)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, found.mask)
    assert all_nodes(scene) == before
    # It lies where the scan lies, also in the world.
    node.HardenTransform()
    assert np.count_nonzero(segmentations.mask_of(node, source) != found.mask) < 5
    other = np.roll(found.mask, 20, axis=2)
    node.SetAndObserveTransformNodeID(None)
    node = segmentations.add_mask(source, other, "other")
    np.testing.assert_array_equal(segmentations.mask_of(node, source), other)


def test_which_segment_is_meant(source, found):
    node = segmentations.add_mask(source, found.mask, "mine")
    edema = node.GetSegmentation().AddEmptySegment("edema", "edema")
    with pytest.raises(SegmentationError, match="mine has 2 visible segments"):
        segmentations.mask_of(node, source)
    node.GetDisplayNode().SetSegmentVisibility(edema, False)
    np.testing.assert_array_equal(segmentations.mask_of(node, source), found.mask)
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "nothing")
    with pytest.raises(SegmentationError, match="nothing has 0 visible segments"):
        segmentations.mask_of(empty, source)


# Measures


def test_the_same_rule_on_every_grid(source, found):
    add_result(source)
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    volume, rows = nodes.volume_from_node(source), rows_of(node, source)
    assert [(row.grid, row.mask_is) for row in rows] == [
        (ACQUIRED, SEGMENTED),
        ("linear ×2", SEGMENTED),
        ("linear ×2", CARRIED),
    ]
    acquired, fresh, carried = (row.measured.voxel_ml for row in rows)
    assert acquired == voxel_ml(volume, found.mask)
    assert abs(fresh - acquired) < 0.1 * acquired
    assert abs(carried - acquired) < 0.1 * acquired
    assert fresh != carried
    assert all(row.measured.side == "left" for row in rows)


def test_edits_are_measured(source, found):
    """And beside them what the rule finds, which is what the results are compared with."""
    add_result(source)
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    edited = found.mask.copy()
    edited[: np.flatnonzero(edited.any((1, 2)))[0] + 2] = False
    (segment,) = node.GetSegmentation().GetSegmentIDs()
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited.astype(np.uint8), node, segment, source)
    volume, rows = nodes.volume_from_node(source), rows_of(node, source)
    kinds = [row.mask_is for row in rows]
    assert kinds == [GIVEN, SEGMENTED, SEGMENTED, CARRIED]
    assert rows[0].measured.voxel_ml == voxel_ml(volume, edited)
    given, acquired, fresh, carried = (row.measured.voxel_ml for row in rows)
    assert difference_ml(rows[2], rows) == fresh - acquired
    assert difference_ml(rows[3], rows) == carried - given


def test_a_segmentation_of_ones_own_needs_no_skull(source, found):
    """A scan of the brain alone: nothing can be found in it, and all be measured."""
    hu = slicer.util.arrayFromVolume(source)
    hu[hu > 100] = 0
    slicer.util.arrayFromVolumeModified(source)
    add_result(source)
    node = segmentations.add_mask(source, found.mask, "mine")
    rows = rows_of(node, source)
    assert [row.mask_is for row in rows] == [GIVEN, CARRIED]
    assert rows[0].measured.side is None


def test_the_skull_of_a_saturated_scan_is_that_of_its_acquired_slices(source):
    """Synthetic slices overshoot the top, so that by themselves they'd seem to have no skull."""
    hu = slicer.util.arrayFromVolume(source)
    np.clip(hu, -20, 100, out=hu)
    slicer.util.arrayFromVolumeModified(source)
    result = add_result(source, "cubic")
    assert slicer.util.arrayFromVolume(result).max() > 100
    found = Segmenter(nodes.volume_from_node(source)).segment([CLOT])
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    rows = rows_of(node, source)
    acquired, fresh, _ = (row.measured.voxel_ml for row in rows)
    assert abs(fresh - acquired) < 0.1 * acquired


def test_a_scan_under_its_acquisition_transform(scene, source):
    """As Slicer loads a tilted gantry: its slices are moved by a grid transform."""
    grid = nodes.volume_from_node(source)
    lean = np.zeros((grid.slice_count, 3))
    lean[:, 1] = np.arange(grid.slice_count) * 1.2
    acquisition_transform(source, lean)
    volume = nodes.volume_from_node(source)
    place_seed(source)
    seeds = segmentations.seeds_of(source)
    np.testing.assert_allclose(
        volume.indices(np.array(seeds)), grid.indices(np.array([CLOT])), atol=1e-2
    )
    found = Segmenter(volume).segment(seeds)
    np.testing.assert_array_equal(found.mask, Segmenter(grid).segment([CLOT]).mask)
    node = segmentations.add_segmentation(source, found, (seeds, SegmentationSettings()))
    np.testing.assert_array_equal(segmentations.mask_of(node, source), found.mask)


def test_a_segmentation_of_another_volume(source, found):
    """Its seeds are not in this volume's coordinates: it is measured as anybody's."""
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    other = sample_data.load_phantom(matrix=128)
    other.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    (row,) = rows_of(node, other)
    assert row.mask_is == GIVEN


def test_results_that_no_longer_fit_are_left_out(source):
    learned, cropped = add_result(source), add_result(source)
    hu = slicer.util.arrayFromVolume(cropped)[:-4].copy()
    slicer.util.updateVolumeFromArray(cropped, hu)
    assert volumetry.comparable_results(source) == [learned]


def test_the_surface_is_slicers(source, found):
    """The volume in the table is that of the closed surface that Slicer shows."""
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    (row,) = rows_of(node, source)
    node.CreateClosedSurfaceRepresentation()
    surface, properties = vtk.vtkPolyData(), vtk.vtkMassProperties()
    node.GetClosedSurfaceRepresentation(segmentations.segment_of(node), surface)
    properties.SetInputData(surface)
    assert row.measured.surface_ml == pytest.approx(properties.GetVolume() / 1000, rel=1e-3)


def test_the_table(source, found, tmp_path):
    add_result(source)
    node = segmentations.add_segmentation(source, found, ([CLOT], SegmentationSettings()))
    rows = rows_of(node, source)
    measured = volumetry.measure_request(node, source).answer(Scan(nodes.volume_from_node(source)))
    table = volumetry.add_table(measured, node.GetName())
    assert column(table, "grid") == ["acquired", "linear ×2", "linear ×2"]
    assert column(table, "voxel_ml") == [row.measured.voxel_ml for row in rows]
    assert np.isnan(column(table, "difference_ml")[0])
    assert (
        column(table, "difference_ml")[1] == rows[1].measured.voxel_ml - rows[0].measured.voxel_ml
    )
    assert column(table, "low_hu")[0] == found.limits_hu[0]
    place = [column(table, f"{axis}_mm")[0] for axis in ("right", "anterior", "superior")]
    assert place == list(rows[0].measured.centroid_ras)
    storage = slicer.vtkMRMLTableStorageNode()
    storage.SetFileName(str(tmp_path / "table.csv"))
    assert storage.WriteData(table)
    assert "linear ×2" in (tmp_path / "table.csv").read_text(encoding="utf-8")
