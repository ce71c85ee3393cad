"""The whole protocol on sets of scans, through its command."""

import json
from dataclasses import replace

import numpy as np
import pytest
from dicom_head import write_head

from SliceInterpLib.cli import main
from SliceInterpLib.files import write_volume
from SliceInterpLib.lab.contrast import RADII_MM
from SliceInterpLib.phantom import head_phantom

METHODS = "--methods=nearest,linear"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Two heads, one of them a level deeper, what is no CT, and a scan that is too short."""
    folder = tmp_path_factory.mktemp("hospital")
    (folder / "b").mkdir()
    for seed, name in enumerate(("Doe^Jane.nrrd", "b/second.nii.gz")):
        head = head_phantom(matrix=160, pixel_spacing=1.4, slices=12, seed=seed, hematoma_ml=0)
        write_volume(head.volume, folder / name)
    mask = replace(head.volume, slices=(head.volume.slices > 0).astype(np.int16))
    write_volume(mask, folder / "b" / "mask.nrrd")
    short = head_phantom(matrix=64, pixel_spacing=3.5, slices=2).volume
    write_volume(short, folder / "short.nrrd")
    return folder


@pytest.fixture(scope="module")
def result(hospital, tmp_path_factory):
    """What the command prints for scripts, and the file that it writes."""
    output = tmp_path_factory.mktemp("out") / "table.md"
    assert main(["lab", "validate", str(hospital), METHODS, "-o", str(output)]) == 0
    return output.read_text(encoding="utf-8")


def test_every_measure_stands_in_one_table(result):
    rows = [line.strip("| ").split(" | ") for line in result.splitlines() if line[:2] == "| "]
    titles, nearest, linear = rows
    assert len(titles) == len(linear) == 1 + 7 + 2 + len(RADII_MM)
    of = dict(zip(titles, linear, strict=True))
    assert float(of["PSNR dB"]) > float(dict(zip(titles, nearest, strict=True))["PSNR dB"])
    assert 0.6 < float(of["noise"]) < 0.85  # 1/√2 but for the noise that neighbours share
    assert 1.0 < float(of["inner table"]) < 2.5
    for radius in RADII_MM:
        assert of[f"contrast {radius:g} mm"].startswith("1.00 ")


def test_scans_that_are_alike_are_counted_and_the_others_are_left_out_with_the_reason(result):
    assert "- 2 scans of 12 slices; slice distance: 5 mm; pixels: 1.4 × 1.4 mm" in result
    assert "left out: The values are not HU" in result
    assert "left out: Holding a slice out needs at least 3 slices" in result


def test_no_name_of_a_file_is_told(tmp_path, capsys):
    (tmp_path / "Doe^Jane.nrrd").write_bytes(b"no volume")
    write_volume(head_phantom(matrix=64, pixel_spacing=3.5, slices=4).volume, tmp_path / "b.nrrd")
    assert main(["lab", "validate", str(tmp_path), "--methods=linear"]) == 0
    text = capsys.readouterr().out
    assert "left out: The file cannot be read" in text
    assert "Doe" not in text


def test_a_set_without_brain_says_so_and_has_the_rest(data_dir, capsys):
    folder = data_dir / "dicom" / "philips-phantom-5mm"
    assert main(["lab", "validate", str(folder), "--methods=linear", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[str(folder)]
    assert found["noise"] is None
    assert found["contrast"] is None
    assert len(found["notes"]) == 2
    assert found["quality"]["methods"]["linear"]["psnr"]["mean"] > 15
    assert found["kinds"][0]["facts"]["Manufacturer"] == "Philips"


def test_a_dicom_series_tells_its_scanner_and_an_uneven_one_its_longest_part(tmp_path, capsys):
    files = write_head(tmp_path / "series", Manufacturer="Maker\n<b>of")
    files[6].unlink()
    assert main(["lab", "validate", str(tmp_path), "--methods=linear"]) == 0
    text = capsys.readouterr().out
    assert "Manufacturer: Maker &lt;b&gt;of;" in text
    assert "Kernel: H30s" in text
    assert "Longest evenly spaced part: 6 of 8 slices" in text
    assert "Müller" not in text


def test_a_set_of_which_nothing_can_be_used_is_an_error(tmp_path, capsys):
    write_volume(head_phantom(matrix=64, pixel_spacing=3.5, slices=2).volume, tmp_path / "a.nrrd")
    assert main(["lab", "validate", str(tmp_path), METHODS, "-o", str(tmp_path / "table.md")]) == 1
    assert "No scan of the set can be used" in capsys.readouterr().err
    assert not (tmp_path / "table.md").exists()
