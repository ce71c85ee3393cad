"""Hematomas that are found without a seed: suggested, never claimed."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from SliceInterpLib.cli import main
from SliceInterpLib.errors import MethodError
from SliceInterpLib.files import write_volume
from SliceInterpLib.lab.training.finder import FinderTraining, train_finder
from SliceInterpLib.lab.training.finder_examples import FinderExamples, stack_of
from SliceInterpLib.networks.finder import FinderUNet
from SliceInterpLib.networks.registry import FINDER, available_models, find_model
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.volumetry import finding, slabs
from SliceInterpLib.volumetry.finding import find_pieces
from SliceInterpLib.volumetry.mask import SegmentationError, voxel_ml
from SliceInterpLib.volumetry.segmentation import Segmenter
from SliceInterpLib.volumetry.settings import SegmentationSettings

HEAD = {"matrix": 200, "pixel_spacing": 1.0, "slices": 20}


@pytest.fixture(scope="module")
def bleeding():
    return head_phantom(**HEAD, hematoma_ml=25.0, seed=11)


@pytest.fixture(scope="module")
def healthy():
    return head_phantom(**HEAD, hematoma_ml=0.0, seed=12)


@pytest.fixture(scope="module")
def pieces(bleeding):
    return find_pieces(Segmenter(bleeding.volume))


@pytest.fixture(scope="module")
def files(bleeding, healthy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for name, head in (("bleeding", bleeding), ("healthy", healthy)):
        write_volume(head.volume, folder / f"{name}.nii.gz")
    (folder / "labels").mkdir()
    known = (bleeding.hematoma_fraction > 0.5).astype(np.uint8)
    write_volume(replace(bleeding.volume, slices=known), folder / "labels" / "bleeding.nii.gz")
    return folder


def volume_command(capsys, *arguments):
    assert main(["volume", *map(str, arguments), "--json"]) == 0
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_a_hematoma_is_found_with_the_border_of_the_seeded_rule(bleeding, pieces):
    (piece,) = pieces
    truth = bleeding.hematoma_fraction > 0.5
    index = np.rint(bleeding.volume.indices(np.array(piece.seed))[0]).astype(int)
    assert truth[tuple(index)]
    segmenter = Segmenter(bleeding.volume)
    for mask in (segmenter.segment([piece.seed]).mask, segmenter.mask([piece.seed])):
        np.testing.assert_array_equal(piece.found.mask, mask)
    assert piece.ml == voxel_ml(bleeding.volume, piece.found.mask)
    assert piece.ml == pytest.approx(bleeding.hematoma_ml, rel=0.15)
    assert 0.5 < piece.confidence <= 1.0


def test_a_piece_whose_border_leaks_is_told_and_never_measured(bleeding, files, capsys):
    (piece,) = find_pieces(Segmenter(bleeding.volume), settings=SegmentationSettings(low_hu=15.0))
    assert piece.ml is None and piece.found is None
    assert "has no border" in piece.warnings[0]
    leaking = [str(files / "bleeding.nii.gz"), "--low", "15", "--methods"]
    assert main(["volume", *leaking, "--piece", "1"]) == 1
    assert "Piece 1 cannot be measured" in capsys.readouterr().err
    told, said = volume_command(capsys, *leaking, "--all")
    assert told["rows"] == [] and told["finder"]["pieces"][0]["ml"] is None
    assert "has no border" in said


def test_a_place_where_the_rule_sees_no_blood_is_told_and_never_measured(bleeding, files, capsys):
    settings = SegmentationSettings(low_hu=89.0, high_hu=90.0)
    (piece,) = find_pieces(Segmenter(bleeding.volume), settings=settings)
    assert piece.ml is None and piece.found is None and piece.marked_ml > 15
    truth = bleeding.hematoma_fraction > 0.5
    assert truth[tuple(np.rint(bleeding.volume.indices(np.array(piece.seed))[0]).astype(int))]
    dim = ["volume", str(files / "bleeding.nii.gz"), "--low", "89", "--high", "90", "--methods"]
    assert main(dim) == 0
    said = capsys.readouterr()
    assert "| 1 | " in said.out and " | – | 0.9" in said.out
    assert "warning: piece 1: It has no border: the finder marks" in said.err
    assert "sees no blood there" in said.err
    assert main([*dim, "--piece", "1"]) == 1
    assert "Piece 1 cannot be measured" in capsys.readouterr().err
    told, _ = volume_command(capsys, *dim[1:], "--all")
    (listed,) = told["finder"]["pieces"]
    assert told["rows"] == [] and listed["ml"] is None
    assert "sees no blood there" in listed["warnings"][0]


def test_a_place_beside_a_clot_is_told_where_the_rule_takes_the_clot_alone(bleeding, monkeypatch):
    """Dim blood beside bright: the seed is within reach of the bright one, whose border it gets."""
    clot = slabs.on_finder_pixels(bleeding.volume, bleeding.hematoma_fraction).numpy() > 0.5
    places = np.argwhere(clot)
    index, row, edge = places[places[:, 2] == places[:, 2].max()].mean(axis=0).astype(int)
    likely = clot.astype(np.float32)
    likely[..., edge - 3 :] = 0.0
    likely[index, row - 4 : row + 5, edge - 1 : edge + 5] = 1.0
    monkeypatch.setattr(finding, "likelihood", lambda *_: likely)
    whole, beside = find_pieces(Segmenter(bleeding.volume))
    assert whole.ml == pytest.approx(bleeding.hematoma_ml, rel=0.15)
    assert beside.ml is None and beside.found is None and beside.marked_ml < 0.5
    assert "takes what another piece has" in beside.warnings[0]


def test_the_same_scan_gives_the_same_pieces(bleeding, pieces):
    again = find_pieces(Segmenter(bleeding.volume))
    assert [(p.seed, p.confidence) for p in again] == [(p.seed, p.confidence) for p in pieces]


def test_a_head_without_blood_has_no_piece(healthy):
    assert find_pieces(Segmenter(healthy.volume)) == []


def test_bone_is_seen_alike_with_and_without_saturation(bleeding, pieces):
    volume = bleeding.volume
    clipped = replace(volume, slices=np.clip(volume.slices, -20, 100))
    torch.testing.assert_close(slabs.seen_slabs(clipped), slabs.seen_slabs(volume))
    (piece,) = find_pieces(Segmenter(clipped))
    assert piece.seed == pieces[0].seed and piece.confidence == pieces[0].confidence


def test_thin_slices_and_small_pixels_are_found_alike(pieces):
    thin = head_phantom(
        matrix=400, pixel_spacing=0.5, slices=40, slice_spacing=2.5, hematoma_ml=25.0, seed=11
    )
    (piece,) = find_pieces(Segmenter(thin.volume))
    assert piece.ml == pytest.approx(thin.hematoma_ml, rel=0.15)
    assert np.linalg.norm(np.subtract(piece.seed, pieces[0].seed)) < 8.0


def test_every_slice_is_in_one_slab(bleeding):
    volume = bleeding.volume
    assert slabs.slab_starts(volume).tolist() == list(range(volume.slice_count + 1))
    thin = head_phantom(matrix=32, pixel_spacing=6.0, slices=23, slice_spacing=1.25).volume
    starts = slabs.slab_starts(thin)
    assert starts[0] == 0 and starts[-1] == 23
    assert set(np.diff(starts)) <= {4, 5}


# ---- The command line


def test_without_a_seed_pieces_are_listed_and_nothing_is_measured(files, capsys):
    told, _ = volume_command(capsys, files / "bleeding.nii.gz")
    assert told["confirmed"] is False and told["rows"] == []
    (piece,) = told["finder"]["pieces"]
    assert piece["confirmed"] is False and piece["ml"] > 15
    assert told["finder"]["sha256"] == find_model(kind=FINDER).sha256
    assert main(["volume", str(files / "bleeding.nii.gz")]) == 0
    said = capsys.readouterr().out
    assert "Nobody has confirmed this" in said and "--piece 1" in said


def test_a_piece_that_is_named_is_measured_as_confirmed(files, capsys, tmp_path):
    told, _ = volume_command(
        capsys, files / "bleeding.nii.gz", "--piece", 1, "--methods", "-o", tmp_path / "mask.nrrd"
    )
    assert told["confirmed"] is True
    (piece,), (row,) = told["finder"]["pieces"], told["rows"]
    assert piece["confirmed"] is True
    assert row["voxel_ml"] == piece["ml"]
    assert (tmp_path / "mask.nrrd").exists()


def test_all_pieces_are_measured_with_a_warning_and_confirmed_by_nobody(files, capsys):
    told, said = volume_command(capsys, files / "bleeding.nii.gz", "--all", "--methods")
    assert told["confirmed"] is False and len(told["rows"]) == 1
    assert told["finder"]["pieces"][0]["confirmed"] is False
    assert "nobody has confirmed" in said


def test_no_hemorrhage_found_is_an_answer_that_says_what_it_is_worth(files, capsys):
    told, _ = volume_command(capsys, files / "healthy.nii.gz", "--all")
    assert told["finder"]["pieces"] == [] and told["rows"] == []
    assert main(["volume", str(files / "healthy.nii.gz")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("No hemorrhage found.")
    assert find_model(kind=FINDER).card["none_means"] in said


def test_a_piece_that_is_not_there_and_a_mask_of_nothing_are_refused(files, capsys, tmp_path):
    scan = str(files / "bleeding.nii.gz")
    assert main(["volume", scan, "--piece", "7"]) == 1
    assert "no piece 7: 1 were found" in capsys.readouterr().err
    assert main(["volume", scan, "-o", str(tmp_path / "mask.nrrd")]) == 1
    assert "before you have said which" in capsys.readouterr().err


def test_without_torch_nothing_is_claimed(bleeding, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("SliceInterpLib.networks.finder", "torch.nn"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MethodError, match="needs torch"):
        find_pieces(Segmenter(bleeding.volume))


# ---- The model


def test_finders_and_interpolators_are_told_apart(capsys, files, tmp_path):
    assert {model.kind for model in available_models()} == {FINDER, "interpolator"}
    with pytest.raises(MethodError, match="of the kind 'interpolator'"):
        find_model("small", FINDER)
    scan, output = files / "healthy.nii.gz", tmp_path / "x.nrrd"
    assert main(["upsample", str(scan), "-o", str(output), "--model", "finder"]) == 1
    assert "of the kind 'finder'" in capsys.readouterr().err
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert "finder (finder):" in said and "small (interpolator):" in said


def test_a_finder_s_card_must_say_when_a_piece_counts(tmp_path, bleeding):
    card = dict(find_model(kind=FINDER).card)
    del card["finding"]
    (tmp_path / "own.json").write_text(json.dumps(card))
    with pytest.raises(MethodError, match="when a piece counts"):
        find_pieces(Segmenter(bleeding.volume), find_model(str(tmp_path / "own.json"), FINDER))


def test_a_slab_s_probabilities_do_not_depend_on_what_is_far_away(bleeding):
    network = FinderUNet().eval()
    seen = slabs.seen_slabs(bleeding.volume)
    with torch.inference_mode():
        whole = network(torch.stack([seen[:-2], seen[1:-1], seen[2:]], 1)[:4])
        one = network(torch.stack([seen[2:3], seen[3:4], seen[4:5]], 1))
    torch.testing.assert_close(whole[2:3], one, atol=1e-4, rtol=1e-4)


# ---- Training


def test_examples_hold_what_is_known_to_be_blood(bleeding, healthy):
    stacks = [stack_of(h.volume, h.hematoma_fraction) for h in (bleeding, healthy)]
    assert len(stacks[0].bleeding) > 3 and len(stacks[1].bleeding) == 0
    slabs_, blood = FinderExamples([(1.0, stacks)], crop=96, seed=3).batch(16)
    assert slabs_.shape == (16, 3, 96, 96) and blood.shape == (16, 1, 96, 96)
    assert slabs_.min() >= 0.0 and slabs_.max() <= 1.0
    shown = blood.amax(dim=(1, 2, 3)) > 0.9
    assert 2 < shown.sum() < 16
    # Blood is brighter than the brain around it.
    inside = slabs_[:, 1:2][blood > 0.9].median()
    brain = slabs_[:, 1:2][(blood == 0) & (slabs_[:, 1:2] > 0.25) & (slabs_[:, 1:2] < 0.9)].median()
    assert inside > brain + 0.1


def test_a_finder_is_trained_and_loads(tmp_path, bleeding, healthy):
    with_blood, without = (stack_of(h.volume, h.hematoma_fraction) for h in (bleeding, healthy))
    records = []
    path = train_finder(
        name="mine",
        patients=[with_blood],
        without=[without],
        built_in=[],
        validation=[with_blood],
        folder=tmp_path / "run",
        settings=FinderTraining(minutes=0.05, batch=2, crop=64),
        command="a test",
        log=records.append,
    )
    model = find_model(str(path), FINDER)
    assert model.card["training"]["steps"] == records[-1]["step"] >= 1
    with pytest.raises(MethodError, match="when a piece counts"):
        find_pieces(Segmenter(bleeding.volume), model)
    card = model.card | {"finding": {"probability": 0.5, "confidence": 0.5, "smallest_ml": 0.2}}
    path.write_text(json.dumps(card))
    find_pieces(Segmenter(bleeding.volume), find_model(str(path), FINDER))


def test_a_finder_is_trained_from_files(files, tmp_path, monkeypatch, capsys):
    seen = {}

    def train(**what):
        seen.update(what)
        return tmp_path / "model.json"

    monkeypatch.setattr("SliceInterpLib.lab.training.finder.train_finder", train)
    monkeypatch.setattr("SliceInterpLib.lab.training.finder.phantoms", list)
    scan, labels = files / "bleeding.nii.gz", files / "labels"
    arguments = ["--data", scan, "--labels", labels, "--without", files / "healthy.nii.gz"]
    assert main(["lab", "train-finder", *map(str, arguments), "-o", str(tmp_path)]) == 0
    ((patient,), (other,)) = seen["patients"], seen["without"]
    assert len(patient.bleeding) > 3 and len(other.bleeding) == 0


def test_the_finder_is_held_against_what_is_known(files, capsys):
    def check(*arguments):
        assert main(["lab", "finder-check", *map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    told = check(files / "bleeding.nii.gz", "--labels", files / "labels")
    assert told["found"] == told["with_hematoma"] == 1 and told["false_pieces"] == 0
    assert told["without_border"] == 0
    assert told["dice"] > 0.9
    told = check(files / "bleeding.nii.gz", files / "healthy.nii.gz")
    assert told["with_hematoma"] == 0 and told["false_pieces"] == 1
    assert told["false_ml"] == told["per_scan"][0]["ml"] > 15


@pytest.mark.parametrize("numbers", [[2], [1, 3]])
def test_only_numbers_that_are_listed_can_be_named(pieces, numbers):
    from SliceInterpLib.volumetry.finding import named_pieces

    with pytest.raises(SegmentationError):
        named_pieces(pieces, numbers)
