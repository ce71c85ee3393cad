"""Volumetry on real scans, and the phantom study's machinery."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from SliceInterpLib.cli import main
from SliceInterpLib.files import read_volume, write_volume
from SliceInterpLib.files.masks import read_mask
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.lab.agreement import Agreement, agreement, dice
from SliceInterpLib.lab.volumetry_real import Patient, Restored
from SliceInterpLib.lab.volumetry_real_tables import summary_of, tables_text
from SliceInterpLib.lab.volumetry_study.figure import save_volumetry_figure
from SliceInterpLib.lab.volumetry_study.study import ACQUIRED, CARRIED, SPACINGS_MM, run_study
from SliceInterpLib.lab.volumetry_study.tables import markdown
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volumetry.mask import voxel_ml
from SliceInterpLib.volumetry.segmentation import Segmenter

PATIENTS = {
    "0009": (15, 279, 302),
    "0015": (14, 247, 315),
    "0037": (14, 229, 206),
    "0059": (16, 297, 325),
    "0066": (13, 229, 247),
    "0073": (12, 206, 224),
    "0095": (17, 275, 318),
    "0139": (13, 244, 260),
    "0141": (10, 194, 167),
    "0166": (17, 225, 213),
}
"""Slice, row and column of a seed in each test patient's hematoma."""

TWO_DENSITIES = ("0141",)


@pytest.mark.parametrize("patient", PATIENTS)
def test_one_seed_finds_a_patients_hematoma(data_dir, patient):
    """Held against the data's reference hematomas, or else both volumes are told."""
    volume = read_volume(data_dir / "phe-sich" / "test" / f"{patient}.nii.gz")
    reference = read_mask(data_dir / "phe-sich-labels" / f"{patient}.nii.gz", volume, "1")
    found = Segmenter(volume).segment([volume.places(np.array(PATIENTS[patient], float)).ravel()])
    both = 2 * np.count_nonzero(found.mask & reference)
    dice = both / (np.count_nonzero(found.mask) + np.count_nonzero(reference))
    assert (found.bright is not None) == (patient in TWO_DENSITIES)
    if found.bright is None:
        ml = voxel_ml(volume, reference)
        assert dice > 0.94 and voxel_ml(volume, found.mask) == pytest.approx(ml, rel=0.15)
    else:
        assert dice > 0.88 and any("two densities" in one for one in found.warnings)


def test_the_solid_shapes_of_a_plastic_phantom(data_dir):
    """5 mm slices against 1 mm slices of the same object in the same session.

    The shapes stand in air on a plate; what is above the plate counts, at half of its HU above
    air. On the doubled grid their volumes together are nearer to the truth than on the thick one.
    """
    thin = read_volume(data_dir / "phantom" / "philips-phantom-1mm.nii.gz")
    thick = read_volume(data_dir / "dicom" / "philips-phantom-5mm")
    doubled = upsample(thick, make_interpolator("learned"))
    plate = thick.slice_origins[13, 2] - thick.slice_spacing / 2
    solid = (thin.hu > -440) & (thin.slice_origins[:, 2] > plate)[:, None, None]
    pieces, _ = ndimage.label(solid)
    sizes = np.bincount(pieces.ravel())[1:] * np.prod(thin.spacing) / 1000
    boxes = [
        box
        for box, ml in zip(ndimage.find_objects(pieces), sizes, strict=True)
        if 3.0 < ml < 30.0 and box[0].stop < 120  # neither the skull nor the head rest
    ]
    assert len(boxes) == 4
    errors = {}
    for name, grid in {"thick": thick, "doubled": doubled}.items():
        errors[name] = sum(
            abs(millilitres(grid, thin, box, plate) - millilitres(thin, thin, box, plate))
            for box in boxes
        )
    assert errors["doubled"] < errors["thick"]


def millilitres(grid, thin, box, plate):
    """Of what is denser than half in a box of the thin volume and above the plate."""
    corners = np.array([[part.start, part.stop] for part in box[:0:-1]]).T * thin.spacing[:2]
    low, high = (corners + thin.origin[:2] + [[-2.0], [2.0]] - grid.origin[:2]) / grid.spacing[:2]
    first, last = np.maximum(0, np.floor(low)).astype(int), np.ceil(high).astype(int)
    solid = grid.hu[:, first[1] : last[1], first[0] : last[0]] > -440
    height = grid.slice_origins[:, 2]
    above = np.clip((height - plate) / grid.slice_spacing + 0.5, 0, 1)
    top = thin.slice_origins[box[0].stop - 1, 2] + 12.0
    areas = solid.sum(axis=(1, 2)) * above * (height < top)
    return float(areas.sum() * np.prod(grid.spacing) / 1000)


@pytest.fixture(scope="module")
def rows():
    """Two lesions' cases; a head for each is drawn, which takes seconds."""
    return run_study([make_interpolator("linear")], lesions=1)


def test_the_study_measures_known_lesions(rows):
    assert {(row.spacing_mm, row.method) for row in rows} == {
        (spacing, method) for spacing in SPACINGS_MM for method in (ACQUIRED, CARRIED, "linear")
    }
    for row in rows:
        assert 1.0 <= row.true_ml <= 3.0 and row.shape == "ellipsoid"
        assert row.agreement.dice > 0.8
        assert row.ml == pytest.approx(row.true_ml, rel=0.25)
        assert row.agreement.surface_mm < 1.0 and row.agreement.ends_mm <= row.spacing_mm
    finest, coarsest = (
        next(r.agreement for r in rows if r.method == ACQUIRED and r.spacing_mm == spacing)
        for spacing in (SPACINGS_MM[0], SPACINGS_MM[-1])
    )
    assert finest.dice > coarsest.dice and finest.surface_mm < coarsest.surface_mm


def test_a_lesion_that_is_found_on_no_grid_has_no_distances_to_compare(rows):
    lost = Agreement(dice=0.0, surface_mm=None, hd95_mm=None, ends_mm=None)
    text = markdown([replace(row, ml=0.0, agreement=lost) for row in rows])
    assert "| linear | 1.00 | – | – |" in text


def test_the_study_is_a_table_and_a_picture(rows, tmp_path):
    text = markdown(rows)
    assert "1 lesion, each scanned at 2.5, 4, 5 mm: 3 cases." in text
    assert "| all | linear | 3 of 3 |" in text
    save_volumetry_figure(tmp_path / "study.png", rows)
    assert (tmp_path / "study.png").stat().st_size > 10_000


# Every second slice hidden


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """A folder of scans and one of labels: one hematoma, and a label where there is none."""
    folder = tmp_path_factory.mktemp("patients")
    head = head_phantom(matrix=160, pixel_spacing=1.25, slices=18, hematoma_ml=30.0, seed=4)
    known = (head.hematoma_fraction > 0.5).astype(np.uint8)
    for name, label in (("bleeding", known), ("elsewhere", known[:, :, ::-1])):
        for kind, slices in (("scans", head.volume.slices), ("labels", label)):
            (folder / kind).mkdir(exist_ok=True)
            write_volume(replace(head.volume, slices=slices), folder / kind / f"{name}.nrrd")
    return folder


def volumetry_real(folder, *arguments):
    return ["lab", "volumetry-real", *map(str, arguments), "--labels", str(folder / "labels")]


def test_hidden_slices_are_restored_and_their_hematoma_compared(patients, capsys):
    command = volumetry_real(patients, patients / "scans")
    assert main([*command, "--methods", "nearest,linear", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["patients"] == 1 and told["model"] is None and told["seconds"] > 0
    (one,) = told["per_patient"]
    assert one["spacing_mm"] == [10.0, 5.0] and one["true_ml"] == pytest.approx(30.0, rel=0.15)
    multiplied, carried, nearest, linear = one["rows"]
    assert multiplied["dice"] is None and multiplied["error_percent"] < 20
    for row in (carried, nearest, linear):
        assert 0.6 < row["dice_hidden"] < row["dice"] < 1.0
        assert 0.0 < row["surface_mm"] <= row["hd95_mm"] <= 10.0
        assert row["error_ml"] == pytest.approx(abs(row["ml"] - one["true_ml"]))
    assert list(told["methods"]) == [row["method"] for row in one["rows"]]
    compared = told["comparisons"]["linear"]["nearest"]["dice"]
    assert compared["difference"] == pytest.approx(linear["dice"] - nearest["dice"])
    assert compared["p"] is None, "one patient is too few to test"
    assert "Dice 0.00" in told["left_out"]["elsewhere"]


def test_the_table_names_the_model_and_who_was_left_out(patients, capsys):
    command = volumetry_real(patients, patients / "scans")
    assert main([*command, "--methods", "linear,learned"]) == 0
    said = capsys.readouterr().out
    assert (
        "| learned − mask carried over | +" in said or "| learned − mask carried over | -" in said
    )
    assert "Learned: small. " in said and "s of CPU time." in said
    assert "Left out: elsewhere, on all slices the rule does not find" in said
    only = volumetry_real(patients, patients / "scans" / "elsewhere.nrrd")
    assert main([*only, "--methods", "linear"]) == 1
    assert "No hematoma can be measured: elsewhere" in capsys.readouterr().err


def test_a_leak_is_told_and_rules_no_mean():
    def patient(name, ml):
        rows = (
            Restored("linear", 12.0, 0.8, 0.7, 0.5, 4.0, 2.0, 20.0),
            Restored("learned", ml, 0.9, 0.8, 0.3, 3.0, abs(ml - 10.0), 10.0 * abs(ml - 10.0)),
        )
        return Patient(name, (10.0, 5.0), 10.0, rows)

    told = summary_of([patient("a", 11.0), patient("b", 300.0)], {})
    assert told["patients"] == 1 and told["leaks"] == {"b": ["learned"]}
    assert told["methods"]["learned"]["error_ml"]["mean"] == pytest.approx(1.0)
    assert told["with_leaks"]["learned"]["error_ml"]["mean"] == pytest.approx(145.5)
    text = tables_text(told)
    assert "The rule leaks in b, which is in none of the means above" in text
    assert "2 patients, with the leaks" in text
    alone = summary_of([patient("b", 300.0)], {})
    assert alone["patients"] == 0 and "| linear | – |" in tables_text(alone)


def test_agreement_is_in_mm_of_where_the_slices_lie():
    truth = np.zeros((5, 20, 20), bool)
    truth[1:4, 5:10, 5:10] = True
    found = np.roll(truth, 2, axis=2)
    head = head_phantom(matrix=20, pixel_spacing=0.5, slices=5, slice_spacing=4.0).volume
    agreed = agreement(found, truth, head.places)
    assert agreed.dice == dice(found, truth) == pytest.approx(0.6)
    assert agreed.hd95_mm == pytest.approx(1.0) and 0.0 < agreed.surface_mm < 1.0
    assert agreed.ends_mm == 0.0
    assert agreement(truth, np.roll(truth, 1, axis=0), head.places).ends_mm == pytest.approx(4.0)
    assert agreement(truth, truth, head.places) == (1.0, 0.0, 0.0, 0.0)
    assert agreement(truth & False, truth, head.places) == (0.0, None, None, None)
