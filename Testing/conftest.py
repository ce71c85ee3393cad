"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

# The arrays of tests are small: of two threads, one would burn a core while it waits.
os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).resolve().parent / "host"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real CT data, which are not part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SLICEINTERP_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real CT data at {folder}; set SLICEINTERP_DATA to where they are")
    return folder


@pytest.fixture(scope="session")
def head() -> object:
    """The built-in head in twelve slices, large enough for the crops of a training."""
    from SliceInterpLib.phantom import head_phantom

    return head_phantom(matrix=224, pixel_spacing=1.0, slices=12).volume


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """The card of a network with random weights, beside its safetensors file."""
    from tiny_models import write_tiny_model

    return write_tiny_model(tmp_path)


@pytest.fixture
def scene() -> Iterator[object]:
    """A new MRML scene (slicer.mrmlScene) in the headless host; see Testing/host.

    Python's collector works in whichever thread allocates, and Qt crashes where it takes a widget
    of the main thread's in another one: so it works between the tests alone.
    """
    pytest.importorskip("slicer", reason="the headless host needs slicer-core")
    pytest.importorskip("PySide6", reason="the headless host needs PySide6")
    import headless

    gc.disable()
    yield headless.start()
    gc.collect()
    gc.enable()


@pytest.fixture(scope="session")
def drawn() -> Callable[..., object]:
    """`head_phantom`, which draws each head once for all tests: look, but do not touch."""
    from SliceInterpLib.phantom import head_phantom

    return cache(head_phantom)


@pytest.fixture
def quick_phantom(
    scene: object, drawn: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample data's head is drawn once; its nodes have voxels of their own."""

    def own(**what: object) -> object:
        phantom = drawn(**{name: value for name, value in what.items() if name != "progress"})
        volume = replace(phantom.volume, slices=phantom.volume.slices.copy())
        return replace(phantom, volume=volume)

    monkeypatch.setattr("SliceInterpLib.phantom.head_phantom", own)


@pytest.fixture
def volumes(quick_phantom: None) -> list:
    """Nodes of a small phantom, doubled by 'linear' and, in place of the network, by 'cubic'."""
    from SliceInterpLib.interpolators import make_interpolator
    from SliceInterpLib.scene import nodes, sample_data
    from SliceInterpLib.upsampling import upsample

    source = sample_data.load_phantom(matrix=96)
    volume = nodes.volume_from_node(source)
    made = [upsample(volume, make_interpolator(method)) for method in ("linear", "cubic")]
    return [source, *(nodes.add_output_node(one, source) for one in made)]


@pytest.fixture
def views(scene: object) -> object:
    """Slice and 3D views that render off-screen."""
    import host_views

    return host_views.Views((300, 260))


@pytest.fixture
def private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary folders are made here, so that a test sees what stays behind."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def shown_errors(scene: object, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The texts and details of the message boxes that a user would see."""
    import slicer

    errors: list[tuple[str, str]] = []
    monkeypatch.setattr(
        slicer.util,
        "errorDisplay",
        lambda text, **more: errors.append((text, more.get("detailedText", ""))),
    )
    return errors


@pytest.fixture
def widget(scene: object, private_tmp: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[object]:
    """The module's widget, opened, on a comparison without views."""
    from driving import FakeComparison, opened_module

    with opened_module(FakeComparison()) as widget:
        yield widget
    assert not list(private_tmp.iterdir()), "a run left its files behind"
    # Qt and VTK go on after an error in what they call, and print it.
    printed = capfd.readouterr().err
    assert "Traceback" not in printed, printed
