"""The report, as a reader meets it: in a browser, by keyboard, without a script, on paper."""

import base64
import html
import io
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from browser import chromium
from dicom_head import write_head
from PIL import Image

from SliceInterpLib.cli import main
from SliceInterpLib.errors import Cancelled, MethodError, VolumeError
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.report.html import make_report
from SliceInterpLib.report.pictures import DIFFERENCE, ERROR, Layer, make_montage
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

HOSTILE = "</script><script>fetch('http://example.com/')</script><img src=x onerror=alert(1)>&\"'"


@pytest.fixture(scope="module")
def head():
    return head_phantom(matrix=160, pixel_spacing=1.4, slices=16).volume


@pytest.fixture(scope="module")
def page(head):
    return make_report(head, method="optical-flow", header={"Scanner": HOSTILE, HOSTILE: "title"})


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def opened(browser, page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    browser.problems.clear()
    browser.requests.clear()
    address = path.as_uri()
    browser.open(address)
    return browser, address


def test_the_page_runs_without_a_complaint_and_without_the_network(opened):
    browser, address = opened
    assert browser.evaluate("document.querySelectorAll('.view img').length") == 12
    loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 50)"
    assert browser.evaluate(loaded)
    assert browser.problems == []
    assert browser.requests == [address]


def test_a_header_is_text_whatever_it_holds(opened):
    browser, address = opened
    cells = "[...document.querySelectorAll('.facts th, .facts td')].map(c => c.textContent)"
    assert browser.evaluate(cells).count(HOSTILE) == 2
    assert browser.evaluate("document.scripts.length") == 2
    assert browser.evaluate("document.querySelectorAll('[onerror]').length") == 0
    assert browser.requests == [address]


def test_even_a_script_that_got_in_could_not_run(browser, page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page.replace("<main>", "<main><script>document.title = 'run'</script>"))
    browser.open(path.as_uri())
    assert browser.evaluate("document.title") == "SliceInterp report"


def test_the_sliders_work_by_keyboard(opened):
    browser, _ = opened
    caption = "document.querySelector('#view-axial output').textContent"
    picture = "document.querySelector('#view-axial img').src"
    before = browser.evaluate(picture)
    while browser.evaluate("document.activeElement.id") != "slider-axial":
        browser.press("Tab")
    browser.press("Home")
    assert "slice 1, acquired" in browser.evaluate(caption)
    browser.press("ArrowRight")
    assert "SYNTHETIC, between slices 1 and 2" in browser.evaluate(caption)
    assert browser.evaluate(picture) != before
    spoken = "document.activeElement.getAttribute('aria-valuetext')"
    assert browser.evaluate(spoken) == browser.evaluate(caption)
    alternative = browser.evaluate("document.querySelector('#view-axial img').alt")
    assert alternative == f"original, axial, {browser.evaluate(caption)}"


def test_a_click_takes_the_other_views_there(opened):
    browser, _ = opened
    frame = "document.querySelector('#view-coronal .picture').getBoundingClientRect()"
    left, top, width, height = (
        browser.evaluate(f"{frame}.{side}") for side in ("left", "top", "width", "height")
    )
    browser.click(left + 0.3 * width, top + 0.02 * height)
    assert "slice 16" in browser.evaluate(
        "document.querySelector('#view-axial output').textContent"
    )
    # 30 % of the width lie to the right of the middle.
    caption = browser.evaluate("document.querySelector('#view-sagittal output').textContent")
    assert caption.startswith("R ")


def test_an_address_opens_a_page_at_a_place(opened):
    browser, address = opened
    browser.open(f"{address}#axial=3&coronal=1e9&sagittal=x")
    captions = browser.evaluate("[...document.querySelectorAll('output')].map(o => o.textContent)")
    assert "between slices 2 and 3" in captions[2]
    assert browser.evaluate("document.querySelector('#slider-coronal').value") == "35"
    assert browser.problems == []


def test_without_a_script_the_middle_cuts_are_there(opened):
    browser, address = opened
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.reload")
        browser.open(address)
        assert browser.evaluate("[...document.images].every(i => i.naturalWidth > 50)")
        assert browser.evaluate("document.querySelectorAll('input:not([hidden])').length") == 0
        assert "SYNTHETIC" in browser.evaluate("document.body.innerText")
        assert "Without JavaScript" in browser.evaluate("document.body.innerText")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_it_prints_its_pictures_and_all_of_its_tables(opened, tmp_path):
    browser, _ = opened
    if not shutil.which("pdftotext"):
        pytest.skip("no pdftotext here; Testing/install-debian-packages.sh installs it")
    path = tmp_path / "report.pdf"
    path.write_bytes(browser.pdf())
    text = subprocess.run(
        ["pdftotext", "-layout", path, "-"], capture_output=True, text=True
    ).stdout
    assert 1 <= text.count("\f") < 5
    for words in ("For research use only", "SYNTHETIC", "Noise and sharpness", "Slice by slice"):
        assert words in text
    assert re.search(r"^\s*15\s+\d", text, re.MULTILINE)
    assert "arrow keys" not in text
    images = subprocess.run(["pdfimages", "-list", path], capture_output=True, text=True).stdout
    assert len(images.splitlines()) >= 2 + 10


def test_the_headlines_say_what_was_gained_and_where_not_to_trust_it(page):
    headlines = html.unescape(re.search(r'<ul class="headlines".*?</ul>', page, re.DOTALL)[0])
    assert "5 mm → 2.5 mm" in headlines
    assert "31 slices from 16" in headlines
    assert re.search(r"Error \d+\.\d HU, linear \d+\.\d", headlines)
    assert re.search(r"Noise \d+%, linear \d+%", headlines)
    assert re.search(r"Slices \d+, \d+, \d+", headlines)


def test_no_gain_is_called_no_gain(head):
    page = make_report(head, method="nearest")
    assert "no gain over linear on this scan" in page


def test_what_cannot_be_measured_is_said(head):
    page = make_report(head.part(range(2)), method="cubic", seeds=[(0, 0, 1e4)])
    reasons = re.findall("<p>Not measured: (.*?)</p>", html.unescape(page))
    assert any("gives no expected error" in reason for reason in reasons)
    assert sum("at least 3 slices" in reason for reason in reasons) == 3
    assert len(reasons) == 6  # and stripes, and the hematoma
    assert "3 slices from 2" in page


def test_the_expected_error_is_shown_where_the_method_tells_it(head):
    page = make_report(head.part(range(10, 16)), method="learned")
    assert page.count("<figcaption>expected error</figcaption>") == 3
    assert page.count('<rect x="') == 5
    assert re.search(r"Slices \d–\d, \d–\d, \d–\d</b><span>least certain", page)
    last = [html.unescape(cell) for cell in re.findall(r"<td>([^<]*)</td></tr>", page)[-6:]]
    assert all(0.1 < float(error) < 100 for error in last[:5])
    assert last[5] == "–"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pictures_are_turned_as_radiologists_expect(axis):
    """A dense ball high up, in front and on the right, in arrays that run any way."""
    z, y, x = np.indices((20, 60, 60))
    hu = np.where(np.hypot(y - 29.5, x - 29.5) < 28, 20, -1000)
    hu[(z - 15) ** 2 + ((y - 15) / 2.5) ** 2 + ((x - 15) / 2.5) ** 2 < 9] = 80
    volume = _permuted(hu.astype(np.int16), axis)
    doubled = upsample(volume, make_interpolator("linear"))
    montage = make_montage([Layer("original", volume), Layer("linear", doubled)], doubled)
    for view in montage.views:
        size, place = max(_ball(montage, view, cut) for cut in view.cuts)
        assert size > 5
        assert max(place) < 0.45, f"not in the upper left of the {view.name} view: {place}"
    axial = montage.views[2]
    assert axial.sides == ("R", "L")
    assert sum(cut.synthetic for cut in axial.cuts) == 19
    assert all(len(set(cut.pictures)) == 1 for cut in axial.cuts if not cut.synthetic)
    height, width = np.array(axial.size) * montage.pixel_mm
    assert abs(height - width) < 2


def _permuted(hu, axis):
    """The volume, spacing 3 mm between slices, with its array turned and partly flipped."""
    order = [(0, 1, 2), (1, 2, 0), (2, 0, 1)][axis]
    array = hu.transpose(order)
    steps = np.array([3.0, 1.0, 1.0])[list(order)]
    world = np.eye(3)[:, ::-1][:, list(order)]  # columns: array axes, in LPS
    flip = [index for index, o in enumerate(order) if o != 1]
    array = np.flip(array, flip)
    origin = np.zeros(3)
    for index in flip:
        origin += world[:, index] * steps[index] * (array.shape[index] - 1)
        world[:, index] *= -1
    return Volume.from_grid(array.copy(), tuple(origin), tuple(steps[::-1]), world[:, ::-1])


def _ball(montage, view, cut):
    """Number of white pixels in the upsampled layer, and their middle as parts of the picture."""
    data = montage.pictures[cut.pictures[1]].split(",")[1]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))
    assert picture.shape == view.size[::-1]
    rows, columns = np.nonzero(picture > 200)
    if not rows.size:
        return 0, (1.0, 1.0)
    return rows.size, (rows.mean() / picture.shape[0], columns.mean() / picture.shape[1])


def test_a_usual_scan_makes_a_page_below_15_mb():
    """Noise all over a large head, which no picture format makes small."""
    y, x = np.indices((512, 512)) - 255.5
    inside = np.hypot(x / 160, y / 200) < 1
    noise = np.random.default_rng(0).normal(30, 6, (40, *inside.shape))
    volume = Volume.from_grid(
        np.where(inside, noise, -1000).astype(np.int16), (0, 0, 0), (0.47, 0.47, 4.0), np.eye(3)
    )
    linear, cubic = (upsample(volume, make_interpolator(name)) for name in ("linear", "cubic"))
    difference = replace(linear, slices=linear.slices - cubic.slices)
    layers = [Layer(str(number), one) for number, one in enumerate((volume, linear, cubic))]
    layers += [Layer("difference", difference, DIFFERENCE), Layer("error", difference, ERROR)]
    montage = make_montage(layers, linear)
    assert 2e6 < sum(map(len, montage.pictures)) < 14.5e6


def test_bad_input_is_refused_before_the_long_run(head):
    with pytest.raises(MethodError, match="compared with itself"):
        make_report(head, method="linear", classical="linear")
    slanted = np.array([[0.7071, -0.7071, 0.0], [0.7071, 0.7071, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(VolumeError, match="too obliquely"):
        make_report(Volume.from_grid(head.hu, head.origin, head.spacing, slanted), method="nearest")
    with pytest.raises(Cancelled):
        make_report(head, method="cubic", cancelled=lambda: True)


def test_the_command_tells_the_scanner_but_not_the_patient(tmp_path, capsys):
    folder, output = tmp_path / "Jörg", tmp_path / "report.html"
    write_head(folder, tilt=12.0, Manufacturer="<b>ACME</b>")
    command = ["report", str(folder), "-o", str(output), "--method", "cubic"]
    assert main(command) == 0
    page = output.read_text(encoding="utf-8")
    assert "&lt;b&gt;ACME&lt;/b&gt;" in page
    assert "H30s" in page
    assert "12.0°, upright only in the pictures" in page
    for identity in ("Jörg", "4711", "1950", "2020", "A7", "Eva", "Klinik", "Schädel"):
        assert identity not in re.sub('data:image/[^"]+', "", page)
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*command, "--keep-identity", "--force"]) == 0
    assert "Müller^Jörg" in output.read_text(encoding="utf-8")
