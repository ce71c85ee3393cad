"""Pictures of the panel and of the comparison, as a user sees them.

With SLICEINTERP_PICTURES=FOLDER they are made at full size, by the shipped model, and left in
FOLDER (minutes on a CPU); else small, without the network, to see that they can be made.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import host_views  # noqa: E402
from driving import (  # noqa: E402
    choose,
    events,
    finish,
    load_volume,
    opened_module,
    place_seed,
    settle,
)

from SliceInterpLib.scene import sample_data  # noqa: E402
from SliceInterpLib.scene.comparison import Comparison  # noqa: E402
from SliceInterpLib.scene.comparison_layout import (  # noqa: E402
    COLUMNS,
    ROWS,
    slice_node,
    view_3d_node,
)
from SliceInterpLib.scene.estimate import Estimate  # noqa: E402

FULL = "SLICEINTERP_PICTURES" in os.environ
SIZE = (400, 330) if FULL else (200, 170)


PLACES = (0.0, -2.0, 25.0)
"""Slice offsets in mm, through the phantom's hematoma; the axial slice is a predicted one."""


@pytest.fixture
def folder(tmp_path):
    path = Path(os.environ.get("SLICEINTERP_PICTURES", tmp_path))
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def views(scene):
    return host_views.Views(SIZE)


@pytest.fixture
def widget(views):
    with opened_module(Comparison(views.renderer)) as widget:
        yield widget


def compare(widget, views, source):
    """Apply to `source`; the slice nodes of the nine views, by rows."""
    method, other = ("Learned", "Linear") if FULL else ("Cubic", "Linear")
    choose(widget, source, method=method, compare=other, device="cpu")
    widget.ui.applyButton.click()
    finish(widget)
    grid = [[slice_node(row, column) for column in COLUMNS] for row in ROWS]
    for node in sum(grid, []):
        views.of(node)
    widget.panel.compare.comparison.fit()
    return grid


def add_skulls(widget, views):
    """Switch them on; their views."""
    widget.ui.skullsCheckBox.click()
    events()
    row = [view_3d_node(column) for column in COLUMNS]
    for node in row:
        views.of(node)
    widget.panel.compare.comparison.fit()
    return row


def cut(views, grid):
    for row, offset in zip(grid, PLACES, strict=True):
        views.of(row[0]).move_to(offset)


def looks_right(picture):
    """Neither blank nor torn: black around, and much that is neither black nor white."""
    assert picture.shape[2] == 3
    grey = picture.max(axis=2)
    assert 0.1 < (grey > 30).mean() < 0.9
    assert ((grey > 60) & (grey < 230)).mean() > 0.05


def phantom():
    return sample_data.load_phantom(matrix=512 if FULL else 64)


def test_the_panel(widget, views, folder):
    widget.parent.show()  # as wide as it is before the run: selectors keep that width
    compare(widget, views, phantom())
    # How quick this computer was does not belong into the picture.
    widget.panel._planner.estimate = Estimate()
    widget.panel.refresh()
    widget.parent.resize(460, 640)
    events(0.1)
    picture = widget.parent.grab()
    assert picture.save(str(folder / "panel.png"))
    assert picture.toImage().width() == 460
    assert "slices" in widget.ui.planLabel.text


def test_the_steps_of_the_tutorial(widget, views, folder):
    """The sections of the panel as each step of README's tutorial leaves them."""
    widget.parent.show()
    source = phantom()
    choose(widget, source, method="Learned", compare="Linear")
    grab(widget, "inputs", folder / "step-2-plan.png")
    grid = compare(widget, views, source)
    cut(views, grid)
    if FULL:
        widget.ui.expectedErrorCheckBox.click()
        picture = views.grab([[row[0], row[2]] for row in grid[:2]])
        host_views.write_png(picture, folder / "step-4-expected-error.png")
        widget.ui.expectedErrorCheckBox.click()
    widget.ui.checkButton.click()
    finish(widget)
    grab(widget, "check", folder / "step-5-check.png")
    place_seed(source)
    widget.ui.segmentButton.click()
    settle(widget)
    widget.ui.measureButton.click()
    settle(widget)
    assert "ml" in widget.ui.volumetryLabel.text
    grab(widget, "volumetry", folder / "step-6-volumetry.png")
    grab(widget, "export", folder / "step-6-export.png")


def grab(widget, section, path):
    """The picture of one section of the panel, opened."""
    button = getattr(widget.ui, f"{section}CollapsibleButton")
    button.collapsed = False
    widget.parent.resize(460, 1200)
    events(0.1)
    picture = button.grab()
    button.collapsed = section != "inputs"
    assert picture.save(str(path))
    assert picture.toImage().width() > 300


def test_the_comparison(widget, views, folder):
    grid = compare(widget, views, phantom())
    cut(views, grid)
    picture = views.grab(grid)
    host_views.write_png(picture, folder / "comparison.png")
    looks_right(picture)


def test_the_comparison_with_differences_and_skulls(widget, views, folder):
    grid = compare(widget, views, phantom())
    in_3d = add_skulls(widget, views)
    cut(views, grid)
    widget.ui.differenceCheckBox.click()
    picture = views.grab([*grid[1:], in_3d])
    host_views.write_png(picture, folder / "comparison-differences-skulls.png")
    looks_right(picture)


@pytest.mark.parametrize("kind", ["phe-sich/valid", "full-hu/test"])
def test_the_comparison_of_a_real_scan(widget, views, folder, data_dir, kind):
    """For the eye of a reader; patients' pictures stay out of the repository."""
    if not FULL:
        pytest.skip("set SLICEINTERP_PICTURES to a folder outside the repository")
    path = sorted((data_dir / kind).glob("*.nii*"))[0]
    node = load_volume([path], "Head CT")
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(100, 40)
    grid = compare(widget, views, node)
    if widget.ui.skullsCheckBox.enabled:
        grid.append(add_skulls(widget, views))
    picture = views.grab(grid)
    host_views.write_png(picture, folder / f"{kind.split('/')[0]}.png")
    looks_right(picture)
    widget.ui.expectedErrorCheckBox.click()
    axial = views.of(grid[0][0])
    axial.move_to(axial.logic.GetSliceOffset() + node.GetSpacing()[2] / 2)  # a synthetic slice
    picture = views.grab(grid)
    host_views.write_png(picture, folder / f"{kind.split('/')[0]}-expected-error.png")
    looks_right(picture)
