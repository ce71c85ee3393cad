"""The packages that the module needs beyond Slicer's own: found, asked for, or done without."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("slicer", reason="the headless host needs slicer-core")
pytest.importorskip("PySide6", reason="the headless host needs PySide6")

import headless  # noqa: E402

headless.start()

from driving import (  # noqa: E402
    add_ct,
    choose,
    finish,
    snapshot,
)

from SliceInterpLib.scene import dependencies  # noqa: E402
from SliceInterpLib.scene.dependencies import Dependencies, DependencyError  # noqa: E402

REQUIREMENTS = Path(__file__).resolve().parents[1] / "SliceInterp/Resources/requirements.txt"


class FakePackaging:
    """slicer.packaging in front of a Python without the packages."""

    def __init__(self, there=(), answer="yes"):
        self.there, self.answer, self.asked = set(there), answer, []

    def load_requirements(self, path):
        assert Path(path).exists()
        return ["safetensors>=0.4"]

    def pip_check(self, requirement):
        return str(requirement).split(">")[0] in self.there

    def pip_ensure(self, requirements, requester):
        self.asked.append((requirements, requester))
        if self.answer == "no":
            raise RuntimeError("User declined package installation")
        if self.answer == "offline":
            raise OSError("no route to host")
        self.there.add("safetensors")


def make_dependencies(packaging):
    return Dependencies(REQUIREMENTS, packaging)


@pytest.fixture
def pytorch_extension(monkeypatch):
    def install(packaging, result="torch"):
        def install_torch(self, askConfirmation, torchVersionRequirement):  # noqa: N803
            assert askConfirmation
            assert torchVersionRequirement == dependencies.TORCH
            if isinstance(result, Exception):
                raise result
            if result:
                packaging.there.add("torch")
            return result

        logic = type("PyTorchUtilsLogic", (), {"installTorch": install_torch})
        monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=logic))

    return install


def test_without_torch_the_panel_says_so_and_apply_offers_it(widget, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    widget.panel.dependencies = make_dependencies(FakePackaging())
    choose(widget, add_ct(), method="Learned")
    assert "after installing torch" in widget.ui.planLabel.text
    assert widget.ui.applyButton.enabled
    before = snapshot()
    with pytest.raises(DependencyError, match="Extensions Manager.*Without a network"):
        widget.panel.on_apply()
    assert not widget.panel.job
    assert snapshot() == before


def test_classical_methods_need_no_packages(widget):
    packaging = FakePackaging()
    widget.panel.dependencies = make_dependencies(packaging)
    choose(widget, add_ct())
    widget.panel.on_apply()
    finish(widget)
    assert widget.panel.compare.comparison.shown
    assert not packaging.asked


def test_consent_brings_all_packages_torch_first(pytorch_extension):
    packaging = FakePackaging()
    pytorch_extension(packaging)
    make_dependencies(packaging).ensure(["learned"])
    assert packaging.there == {"torch", "safetensors"}
    assert packaging.asked[0][1] == "SliceInterp"
    make_dependencies(packaging).ensure(["learned"])
    assert len(packaging.asked) == 1


@pytest.mark.parametrize(
    ("torch", "answer", "message"),
    [
        (None, "yes", "PyTorch was not installed. Press Apply again"),
        (OSError("no route"), "yes", "could not be installed .*no route.*Without a network"),
        ("torch", "no", "were not installed"),
        ("torch", "offline", "could not be installed .*Without a network"),
    ],
)
def test_a_way_on_when_packages_do_not_come(pytorch_extension, torch, answer, message):
    packaging = FakePackaging(answer=answer)
    pytorch_extension(packaging, torch)
    with pytest.raises(DependencyError, match=message) as caught:
        make_dependencies(packaging).ensure(["learned"])
    assert "linear, cubic, sinc" in str(caught.value)


@pytest.mark.parametrize(
    ("gpu", "cuda", "asked", "text"),
    [
        (False, "", "auto", "No NVIDIA GPU found: the CPU is used"),
        (False, "", "cuda", "No NVIDIA GPU found"),
        (True, "", "auto", "build for the CPU"),
        (True, None, "auto", "not installed yet"),
        (True, "12.8", "auto", "PyTorch with CUDA 12.8"),
    ],
)
def test_what_was_found_to_compute_on(monkeypatch, gpu, cuda, asked, text):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(dependencies, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(dependencies, "torch_cuda", lambda: cuda)
    assert text in dependencies.device_note(asked)


def test_the_build_of_torch_is_found_without_importing_it():
    torch = pytest.importorskip("torch")
    assert dependencies.torch_cuda() == (torch.version.cuda or "")
