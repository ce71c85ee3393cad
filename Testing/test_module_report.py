"""The report that the module writes: what it tells, what it does not, and when it is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

import slicer  # noqa: E402
from driving import (  # noqa: E402
    add_ct,
    choose,
    events,
    finish,
    place_seed,
    snapshot,
)

from SliceInterpLib.errors import OutputError, SliceInterpError  # noqa: E402
from SliceInterpLib.scene import sample_data  # noqa: E402
from SliceInterpLib.scene.wrapping import plain  # noqa: E402


@pytest.fixture
def ask(widget):
    """Answers the question where to write, and notes which file was opened."""

    def answer(path):
        widget.panel.check.choose_file = lambda: str(path)
        widget.panel.check.open_file = opened.append
        return opened

    opened = []
    return answer


def identified_phantom():
    """A head whose node has a patient's name and header, as DICOM would have left them."""
    node = sample_data.load_phantom(matrix=64, slice_spacing=15)
    node.SetName("DOE^JANE")
    node.SetAttribute("DICOM.PatientName", "DOE^JANE")
    node.SetAttribute("DICOM.PatientID", "PID-4711")
    node.SetAttribute("DICOM.instanceUIDs", "1.2.840.99999.4711")
    return node


def test_the_report_is_written_and_names_no_patient(widget, ask, tmp_path):
    opened = ask(tmp_path / "evidence")
    source = identified_phantom()
    choose(widget, source, method="Cubic", compare="Nothing")
    before = snapshot()
    widget.panel.check.on_report()
    finish(widget)
    path = tmp_path / "evidence.html"
    assert opened == [path]
    assert plain(widget.ui.statusLabel.text) == f"Report written: {path}"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["evidence.html"]
    page = path.read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert "cubic ×2" in page and "linear ×2" in page
    text = re.sub('data:image/[^"]+', "", page)
    for identity in ("DOE", "JANE", "4711", "99999", str(tmp_path)):
        assert identity not in text
    assert snapshot() == before


def test_the_report_measures_the_seeded_hematoma(widget, ask, tmp_path):
    ask(tmp_path / "report.html")
    source = sample_data.load_phantom(matrix=96, slice_spacing=10)
    place_seed(source)
    choose(widget, source, method="Cubic")
    widget.panel.check.on_report()
    finish(widget)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    table = page[page.index("<h2>Hematoma</h2>") :].split("</table>")[0]
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", table)
    assert float(cells[cells.index("acquired") + 1]) == pytest.approx(30, abs=4)


def test_a_cancelled_report_leaves_no_file(widget, ask, tmp_path):
    opened = ask(tmp_path / "report.html")
    choose(widget, sample_data.load_phantom(matrix=256), method="Sinc")
    widget.ui.reportButton.click()
    while widget.panel.job and "Hiding" not in widget.ui.statusLabel.text:
        events()
    widget.ui.cancelButton.click()
    finish(widget)
    assert "Cancelled" in widget.ui.statusLabel.text
    assert not opened
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no-such-folder/report.html", "The folder does not exist"),
        ("folder.html", "exists already"),
        ("a-file/report.html", "The folder does not exist"),
        ("taken", "exists already"),  # .html is added, and nobody was asked about that name
    ],
)
def test_a_bad_target_is_refused_before_the_run(widget, ask, tmp_path, target, reason):
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "a-file").touch()
    (tmp_path / "taken.html").write_text("mine")
    ask(tmp_path / target)
    choose(widget, add_ct())
    with pytest.raises(OutputError, match=reason):
        widget.panel.check.on_report()
    assert not widget.panel.job
    assert (tmp_path / "taken.html").read_text() == "mine"


def test_a_read_only_folder_is_refused_before_the_run(widget, ask):
    place = Path("/proc")  # where not even root can write
    if not place.is_dir():
        pytest.skip("there is no /proc here")
    ask(place / "report.html")
    choose(widget, add_ct())
    with pytest.raises(OutputError, match="Nothing can be written into this folder"):
        widget.panel.check.on_report()
    assert not widget.panel.job


def oblique():
    node = add_ct()
    axes = np.diag([1.0, 1.0, 5.0, 1.0])
    axes[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(axes))
    return node


def thin():
    return add_ct(spacing=(1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("make", "compare", "reason"),
    [
        (add_ct, "Linear", "both are 'Linear'"),
        (add_ct, "Nothing", "both are 'Linear'"),
        (oblique, "Cubic", "too obliquely"),
        (thin, "Cubic", "adds no detail"),
    ],
)
def test_what_cannot_be_reported_is_refused_before_the_question(widget, make, compare, reason):
    def never():
        raise AssertionError("asked in vain")

    widget.panel.check.choose_file = never
    choose(widget, make(), method="Linear", compare=compare)
    assert widget.ui.reportButton.enabled
    with pytest.raises(SliceInterpError, match=reason):
        widget.panel.check.on_report()
    assert not widget.panel.job


def test_thin_slices_that_are_allowed_are_reported_on(widget, ask, tmp_path):
    opened = ask(tmp_path / "report.html")
    choose(widget, thin(), method="Cubic", allowThin=True)
    widget.panel.check.on_report()
    finish(widget)
    assert opened == [tmp_path / "report.html"]


def test_no_file_no_report(widget):
    widget.panel.check.choose_file = lambda: ""
    choose(widget, add_ct())
    widget.panel.check.on_report()
    assert not widget.panel.job


def test_an_earlier_report_is_replaced_whole(widget, ask, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("the earlier one")
    ask(path)
    choose(widget, add_ct(slices=3))
    widget.ui.reportButton.click()
    finish(widget)
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
