"""What to install where a command lacks a package."""

from __future__ import annotations

from importlib.util import find_spec

_EXTRAS = {
    "check": "report",
    "report": "report",
    "demo": "report",
    "batch": "batch",
    "send": "send",
    "volume": "volumetry",
    "lab": "lab",
}
"""By command, the extra of pyproject.toml with what it needs besides the library."""

_MODULES = {
    "report": ("matplotlib", "jinja2", "PIL", "pytorch_msssim"),
    "batch": ("dask", "distributed", "filelock", "cryptography"),
    "send": ("pynetdicom",),
    "volumetry": ("vtkmodules",),
    "lab": ("pytorch_msssim", "cv2", "matplotlib"),
}
"""By extra, what is imported of it."""

_PACKAGES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "dask": "'dask[distributed]'",
    "distributed": "'dask[distributed]'",
    "pytorch_msssim": "pytorch-msssim",
    "vtkmodules": "vtk",
}
"""What pip calls a module where that is another name."""


def what_installs(module: str, command: str) -> str:
    """One line: what is missing, and the one command of pip that mends it.

    Args:
        module: what could not be imported.
        command: the one that was to run, such as 'report'.
    """
    module = module.split(".")[0]
    extra = _EXTRAS.get(command, "")
    absent = [name for name in _MODULES.get(extra, ()) if find_spec(name) is None]
    packages = dict.fromkeys(_PACKAGES.get(name, name) for name in dict.fromkeys([*absent, module]))
    needs = f"this command needs {' and '.join(packages)}, which "
    if len(packages) == 1:
        return f"{needs}is not installed; install it with: pip install {next(iter(packages))}"
    return (
        f'{needs}are not installed; in a checkout of SliceInterp, pip install ".[{extra}]" '
        "installs them"
    )
