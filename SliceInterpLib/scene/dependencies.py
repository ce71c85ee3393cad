"""The Python packages that a run needs beyond Slicer's own: found, or installed with consent.

Nothing here imports torch: inside Slicer that costs seconds and has crashed it.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SliceInterpLib.errors import SliceInterpError

TORCH = ">=2.5"
"""The PyTorch that the networks need; which build is the PyTorch extension's choice."""


class DependencyError(SliceInterpError):
    """A package is missing and was not installed; the text says why and what to do."""


class Dependencies:
    """What is there, and how to get what is not.

    Args:
        requirements: the module's requirements.txt.
        packaging: `slicer.packaging` unless given.
    """

    def __init__(self, requirements: str | Path, packaging: Any = None) -> None:
        if packaging is None:
            import slicer.packaging

            packaging = slicer.packaging
        self._packaging = packaging
        self._requirements = requirements

    def has_torch(self) -> bool:
        """Whether a PyTorch that will do is installed."""
        return self._packaging.pip_check(f"torch{TORCH}")

    def missing(self, methods: Sequence[str], *, check: bool = False) -> list[str]:
        """What `ensure` would have to install.

        Args:
            methods: names of methods.
            check: as `ensure` takes it.

        Returns:
            Requirements as pip takes them; none if nothing is missing.
        """
        if not _needs_packages(methods, check):
            return []
        others = self._packaging.load_requirements(self._requirements)
        names = [str(one) for one in others if not self._packaging.pip_check(one)]
        return names if self.has_torch() else [f"torch{TORCH}", *names]

    def ensure(self, methods: Sequence[str], *, check: bool = False) -> None:
        """Install what is needed and not there, asking first.

        Args:
            methods: names of methods that are to run.
            check: they are to run in a check or report, which needs its metrics too.

        Raises:
            DependencyError: where something is still missing afterwards.
        """
        if not self.missing(methods, check=check):
            return
        # torch first: what depends on it would bring a build of pip's choice.
        if not self.has_torch():
            self._install_torch()
        self._install_others()
        missing = self.missing(methods, check=check)
        if missing:
            packages = ", ".join(missing)
            still = _("Still missing: {packages}. Restart Slicer and press Apply again.")
            raise DependencyError(
                _sentences(still.format(packages=packages), _without(), _offline())
            )

    def _install_torch(self) -> None:
        try:
            import PyTorchUtils
        except ImportError as problem:
            no_extension = _(
                "The learned method needs PyTorch, and the extension that installs it is missing. "
                "Open the Extensions Manager, install 'PyTorch', restart Slicer and press Apply "
                "again."
            )
            raise DependencyError(_sentences(no_extension, _without(), _offline())) from problem
        try:
            torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
                askConfirmation=True, torchVersionRequirement=TORCH
            )
        except Exception as problem:
            raise _failed("PyTorch", problem) from problem
        if torch is None:
            declined = _(
                "PyTorch was not installed. Press Apply again to allow it; it takes a few minutes, "
                "once."
            )
            raise DependencyError(_sentences(declined, _without()))

    def _install_others(self) -> None:
        try:
            self._packaging.pip_ensure(
                self._packaging.load_requirements(self._requirements), requester="SliceInterp"
            )
        except RuntimeError as no:  # pip_ensure's way to say that the user said no
            declined = _("The packages were not installed. Press Apply again to allow it.")
            raise DependencyError(_sentences(declined, _without())) from no
        except Exception as problem:
            raise _failed(_("What the learned method needs"), problem) from problem


def device_note(device: str) -> str:
    """What was found to compute on, in a sentence for the panel; `device` is what is asked for."""
    cuda = torch_cuda()
    if sys.platform == "darwin":
        return _("A Mac has no CUDA.") if device == "cuda" else _("On a Mac the CPU is used.")
    if not has_nvidia_gpu():
        if device == "cuda":
            return _("No NVIDIA GPU found.")
        return _("No NVIDIA GPU found: the CPU is used.")
    if cuda is None:
        return _("NVIDIA GPU found; PyTorch is not installed yet.")
    if not cuda:
        return _(
            "NVIDIA GPU found, but the installed PyTorch is a build for the CPU. To use the GPU: "
            "module PyTorch Utils > Uninstall PyTorch, restart, then install it again."
        )
    return _("NVIDIA GPU found, PyTorch with CUDA {version}.").format(version=cuda)


def torch_cuda() -> str | None:
    """The CUDA version of the installed torch: '' for a CPU build, None if there is no torch."""
    spec = importlib.util.find_spec("torch")  # finds its folder, and does not import it
    if spec is None or not spec.origin:
        return None
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"^cuda\b.*=\s*'([^']*)'", text, re.M)
    return found[1] if found else ""


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's driver is installed; asking the GPU itself would need torch."""
    return shutil.which("nvidia-smi") is not None


def _needs_packages(methods: Sequence[str], check: bool) -> bool:
    return check or "learned" in methods


def _failed(what: str, problem: Exception) -> DependencyError:
    failed = _(
        "{what} could not be installed ({problem}). Look at the network and the disk space, then "
        "press Apply again."
    ).format(what=what, problem=problem)
    return DependencyError(_sentences(failed, _without(), _offline()))


def _without() -> str:
    return _("The classical methods (linear, cubic, sinc) work without it.")


def _offline() -> str:
    return _(
        "Without a network: put the wheel files of the packages into a folder on a connected "
        "computer (pip download), bring it here, and run PythonSlicer -m pip install --no-index "
        "--find-links FOLDER torch safetensors pytorch-msssim jinja2."
    )


def _sentences(*sentences: str) -> str:
    return " ".join(sentences)
