"""What a command lacks, a package or memory, is told in one line, with what mends it."""

import sys

import pytest
import torch

from SliceInterpLib.cli import main
from SliceInterpLib.cli.missing import what_installs
from SliceInterpLib.errors import MethodError
from SliceInterpLib.networks.registry import find_model, load_network

SEND = ["send", "series", "archive", "104"]


def fails(monkeypatch, capsys, problem, command=("info", "scan.nrrd")):
    """What a command says that meets this error."""

    def broken(*_, **__):
        raise problem

    monkeypatch.setattr("SliceInterpLib.cli.common.read_volume", broken)
    assert main(list(command)) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "absent", "cure"),
    [
        ("report", ["jinja2"], "pip install jinja2"),
        ("report", ["PIL"], "pip install pillow"),
        ("report", ["jinja2", "PIL"], 'pip install ".[report]"'),
        ("lab", ["cv2"], "pip install opencv-python-headless"),
        ("lab", ["cv2", "pytorch_msssim"], 'pip install ".[lab]"'),
        ("batch", ["distributed", "dask"], "pip install 'dask[distributed]'"),
        ("batch", ["distributed", "filelock"], 'pip install ".[batch]"'),
        ("volume", ["vtkmodules"], "pip install vtk"),
        ("upsample", ["tqdm"], "pip install tqdm"),
        ("check", ["torch"], "pip install torch"),
    ],
)
def test_the_hint_is_the_one_command_that_mends_it(command, absent, cure, monkeypatch):
    for module in absent:
        monkeypatch.setitem(sys.modules, module, None)
    said = what_installs(f"{absent[0]}.within", command)
    assert cure in said
    assert "sliceinterp[" not in said
    assert said.count("pip install") == 1


def test_a_command_without_its_package_says_it_in_one_line(monkeypatch, capsys):
    problem = ModuleNotFoundError("No module named 'jinja2'", name="jinja2")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    said = fails(monkeypatch, capsys, problem, ("report", "scan.nrrd", "-o", "page.html"))
    assert said.count("\n") == 1
    assert "needs jinja2" in said and "pip install jinja2" in said


def test_the_learned_method_names_what_it_lacks_and_no_more(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.delitem(sys.modules, "safetensors.torch", raising=False)
    with pytest.raises(MethodError, match="pip install safetensors$"):
        load_network(find_model())


def test_out_of_memory_anywhere_on_the_cpu_is_one_line(monkeypatch, capsys):
    with pytest.raises(RuntimeError) as torch_says:
        torch.empty(10**15)
    said = fails(monkeypatch, capsys, torch_says.value)
    assert said.count("\n") == 1
    assert "not enough memory for this scan" in said


def test_another_runtime_error_is_not_taken_for_that(monkeypatch, capsys):
    with pytest.raises(RuntimeError, match="a defect"):
        fails(monkeypatch, capsys, RuntimeError("a defect"))
