"""Noise, its spectrum, edges and what was taken away, on images whose answer is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from SliceInterpLib.cli import main
from SliceInterpLib.errors import VolumeError
from SliceInterpLib.evidence.edges import (
    AROUND,
    border_radii,
    edge_width,
    hematoma_width,
    roughness,
)
from SliceInterpLib.evidence.metrics import slice_metrics
from SliceInterpLib.evidence.noise import homogeneous, noise_signature
from SliceInterpLib.evidence.noise_spectrum import mean_frequency, radial_nps
from SliceInterpLib.evidence.noise_tables import noise_table
from SliceInterpLib.files import write_volume
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.lab.ceiling import with_new_noise
from SliceInterpLib.lab.noise_over_patients import over_patients, over_patients_table
from SliceInterpLib.volume import Volume

SIZE, PIXEL_MM = 256, 0.6
ROWS, COLUMNS = np.indices((SIZE, SIZE)) - SIZE // 2
RADIUS_MM = np.hypot(ROWS, COLUMNS) * PIXEL_MM
SPACING = (PIXEL_MM, PIXEL_MM)
MIDDLE = (SIZE // 2, SIZE // 2)
LINEAR = make_interpolator("linear")


def ring(shift_mm=0.0, blur_px=1.0):
    """A head of brain (35 HU) in a skull, with a ventricle of 5 HU and a clot of 70 HU."""
    radius = np.hypot(ROWS * PIXEL_MM, COLUMNS * PIXEL_MM - shift_mm)
    hu = np.full((SIZE, SIZE), -1000.0)
    hu[radius < 70] = 800.0
    hu[radius < 64] = 35.0
    hu[np.hypot(ROWS * PIXEL_MM + 25, COLUMNS * PIXEL_MM) < 14] = 5.0
    hu[np.hypot(ROWS * PIXEL_MM - 25, COLUMNS * PIXEL_MM) < 12] = 70.0
    return ndimage.gaussian_filter(hu, blur_px)


def head(slices=5, noise=3.0, shared=0.0, seed=0, shift_mm=0.0):
    """Noise of `noise` HU; the part `shared` of its variance is the same in every slice."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0, noise, (slices, SIZE, SIZE))
    common = rng.normal(0, noise, (SIZE, SIZE))
    clean = np.stack([ring(i * shift_mm) for i in range(slices)])
    hu = clean + np.sqrt(1 - shared) * own + np.sqrt(shared) * common
    spacing = (PIXEL_MM, PIXEL_MM, 5.0)
    return Volume.from_grid(
        hu=hu.astype(np.float32), origin=(0, 0, 0), spacing=spacing, direction=np.eye(3)
    )


class Blurred:
    """Quiet, but bought with blur."""

    name = "blurred"
    context = 0
    provenance = {}

    def __call__(self, pairs, times):
        for pair in pairs:
            yield ndimage.gaussian_filter(pair.mean(0), 3)[None]


@pytest.fixture(scope="module")
def signature():
    return noise_signature(head(), [LINEAR, Blurred()])


def test_the_noise_of_acquired_and_linear_slices_is_found(signature):
    acquired, linear = signature["rows"]["acquired"], signature["rows"]["linear"]
    # A Gaussian of 2 pixels leaves 1 − 2/(2π·2²) + 1/(4π·2²) of white noise's variance.
    passed = 3.0 * np.sqrt(1 - 1 / (4 * np.pi) + 1 / (16 * np.pi))
    for region in ("tissue_hu", "csf_hu"):
        assert acquired[region] == pytest.approx(passed, rel=0.03)
        assert linear[region] == pytest.approx(passed / np.sqrt(2), rel=0.03)
    assert signature["neighbour_correlation"] == pytest.approx(0.0, abs=0.03)
    assert signature["linear_theory"] == pytest.approx(1 / np.sqrt(2), abs=0.02)


def test_linears_theory_follows_the_correlation_of_the_slices():
    found = noise_signature(head(slices=3, shared=0.6, seed=1), [LINEAR])
    assert found["neighbour_correlation"] == pytest.approx(0.6, abs=0.05)
    measured = found["rows"]["linear"]["tissue_hu"] / found["rows"]["acquired"]["tissue_hu"]
    assert measured == pytest.approx(np.sqrt(0.8), abs=0.03)
    assert found["linear_theory"] == pytest.approx(measured, abs=0.03)


def test_denoising_that_is_bought_with_blur_shows(signature):
    acquired, linear, blurred = signature["rows"].values()
    assert blurred["tissue_hu"] < 0.3 * acquired["tissue_hu"]
    assert blurred["nps_per_mm"] < 0.5 * linear["nps_per_mm"]
    for edge in ("inner_table_mm", "hematoma_mm"):
        assert linear[edge] == pytest.approx(acquired[edge], rel=0.1)
        assert blurred[edge] > 1.5 * acquired[edge]
    assert linear["edge_correlation"] == pytest.approx(0.0, abs=0.05)
    assert blurred["edge_correlation"] > 0.4


def test_the_widths_are_those_of_the_blur(signature):
    """A Gaussian of s pixels makes an edge 2.563 s wide from 10 to 90 %."""
    wanted = 2.563 * PIXEL_MM
    assert signature["rows"]["acquired"]["inner_table_mm"] == pytest.approx(wanted, rel=0.1)
    assert signature["rows"]["acquired"]["hematoma_mm"] == pytest.approx(wanted, rel=0.2)


def test_homogeneous_regions_leave_edges_and_rims_out():
    clean = ring()
    depth = np.maximum(64 - RADIUS_MM, 0)
    found = homogeneous([clean, ring(shift_mm=3.0)], depth, SPACING)
    liquor = np.hypot(ROWS * PIXEL_MM + 25, COLUMNS * PIXEL_MM)
    assert found["csf"].any() and liquor[found["csf"]].max() < 13
    assert clean[found["tissue"]] == pytest.approx(35, abs=0.5)
    assert RADIUS_MM[found["tissue"]].max() < 64 - 2.5


def test_a_scan_without_brain_is_refused():
    air = Volume.from_grid(
        hu=np.full((4, 64, 64), -1000.0, np.float32),
        origin=(0, 0, 0),
        spacing=(0.5, 0.5, 5.0),
        direction=np.eye(3),
    )
    with pytest.raises(VolumeError):
        noise_signature(air, [LINEAR])


def test_the_spectrum_of_white_noise_is_flat_and_holds_its_variance():
    rng = np.random.default_rng(0)
    regions = list(rng.normal(10, 4, (200, 32, 32)))
    frequencies, nps = radial_nps(regions, (0.5, 0.5))
    # Flat at σ² Δx Δy; the lowest rings lose what the polynomial takes.
    assert nps[3:] == pytest.approx(16 * 0.25, rel=0.1)
    assert nps[0] < 0.2 * nps[-1]
    smooth = [ndimage.gaussian_filter(region, 1.0) for region in regions]
    assert mean_frequency(*radial_nps(smooth, (0.5, 0.5))) < 0.6 * mean_frequency(frequencies, nps)


def test_a_trend_is_no_noise():
    y, x = np.indices((32, 32)) / 32
    _, nps = radial_nps([5 * x + 3 * y**2 + x * y], (0.5, 0.5))
    assert nps.max() < 1e-20


def test_a_circle_is_met_at_its_radius_and_is_smooth():
    radii = border_radii(-RADIUS_MM, SPACING, MIDDLE, -40.0, angles=AROUND, rising=False)
    assert radii == pytest.approx(40, abs=0.05)
    assert roughness(radii, angles=AROUND, smoothing_mm=5.0) < 0.02
    stairs = np.round(radii + 10 * np.cos(AROUND), -1)
    assert roughness(stairs, angles=AROUND, smoothing_mm=5.0) > 0.5


@pytest.mark.parametrize("blur_px", [1.0, 2.0])
def test_an_edge_is_as_wide_as_it_was_blurred_and_noise_makes_it_no_sharper(blur_px):
    disc = ndimage.gaussian_filter(np.where(RADIUS_MM < 40, 30.0, 70.0), blur_px)
    noisy = disc + np.random.default_rng(0).normal(0, 4, disc.shape)
    radii = np.full(len(AROUND), 40.0)
    for hu in (disc, noisy):
        width = edge_width(hu, SPACING, MIDDLE, radii, angles=AROUND)
        assert width == pytest.approx(2.563 * blur_px * PIXEL_MM, rel=0.1)


def test_a_saturated_scan_compares_with_its_like():
    """What is seen of a saturated edge widens as the edge does."""
    widths = []
    for blur_px in (1.0, 2.0):
        hu = np.clip(ring(blur_px=blur_px), -20, 100)
        radii = border_radii(hu, SPACING, MIDDLE, 90.0, angles=AROUND)
        keep = np.abs(np.sin(AROUND)) < 0.5  # away from the ventricle and the clot
        widths.append(edge_width(hu, SPACING, MIDDLE, radii[keep], angles=AROUND[keep]))
    assert widths[1] > 1.4 * widths[0]


def test_no_border_no_width():
    flat = np.full((SIZE, SIZE), 35.0)
    radii = border_radii(flat, SPACING, MIDDLE, 100.0, angles=AROUND)
    assert np.isnan(radii).all()
    assert edge_width(flat, SPACING, MIDDLE, radii, angles=AROUND) is None
    assert hematoma_width(flat, SPACING, np.maximum(64 - RADIUS_MM, 0)) is None


def test_the_tables_show_parts_of_what_was_acquired(signature):
    text = noise_table(signature).markdown()
    linear = signature["rows"]["linear"]
    cell = f"{linear['tissue_hu']:.2f} ({linear['of_acquired']['tissue_hu']:.2f})"
    assert f"| linear | {cell} |" in text
    summary = over_patients({"one": signature, "two": signature, "three": signature})
    assert summary["linear"]["tissue_hu"]["mean"] == pytest.approx(0.71, abs=0.02)
    text = over_patients_table(summary).markdown()
    assert f"| blurred | {summary['blurred']['tissue_hu']['mean']:.2f} (" in text


def test_the_command_measures_a_folder(tmp_path, capsys):
    for seed in (0, 1):
        write_volume(head(slices=3, seed=seed), tmp_path / f"{seed}.nrrd")
    assert main(["lab", "noise", str(tmp_path), "--methods", "linear", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["patients"]) == {"0", "1"}
    assert found["of_acquired"]["linear"]["tissue_hu"]["mean"] == pytest.approx(0.71, abs=0.03)


def test_the_ceiling_is_what_the_truth_itself_scores():
    """Pairs of the truth and the noisy slice: nothing is wrong with the prediction."""
    rng = np.random.default_rng(3)
    clean = np.clip(ring(), -20.0, 100.0).astype(np.float32)  # saturated, as a brain window is
    pairs = []
    for index in range(6):
        noise = ndimage.gaussian_filter(rng.standard_normal(clean.shape), 0.8, mode="wrap")
        noisy = np.clip(ring() + 5.0 * noise / noise.std(), -20.0, 100.0).astype(np.float32)
        pairs.append((index, clean, noisy))
    renewed = list(with_new_noise(pairs))
    for (_, _, truth), (_, predicted, again) in zip(pairs, renewed, strict=True):
        assert predicted is clean
        assert abs(np.corrcoef((truth - clean).ravel(), (again - clean).ravel())[0, 1]) < 0.05
        scored, known = slice_metrics(clean, again), slice_metrics(clean, truth)
        assert scored["psnr"] == pytest.approx(known["psnr"], abs=0.3)
        assert scored["ssim"] == pytest.approx(known["ssim"], abs=0.01)
        assert scored["mae"] == pytest.approx(known["mae"], rel=0.05)
        assert np.array_equal(again[clean == -20.0], clean[clean == -20.0])
    with pytest.raises(VolumeError, match="no homogeneous brain"):
        list(with_new_noise([(0, np.zeros_like(clean), pairs[0][2])]))


def test_benchmark_has_a_row_for_the_ceiling(tmp_path, capsys):
    write_volume(head(), tmp_path / "head.nrrd")
    short = head().part(range(3))
    write_volume(
        replace(short, slices=np.where(short.slices > 15, 80, -20)), tmp_path / "none.nrrd"
    )
    command = [
        "lab",
        "benchmark",
        str(tmp_path),
        "--methods",
        "linear,cubic",
        "--no-speed",
        "--ceiling",
    ]
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["methods"]) == ["linear", "cubic", "perfect"]
    rows = result["per_patient"]["head"]
    # Cubic's slices are noisy too, and the residual holds the noise of both.
    assert rows["perfect"]["psnr"] == pytest.approx(rows["cubic"]["psnr"], abs=0.5)
    assert set(result["per_patient"]["none"]["perfect"].values()) == {None}
