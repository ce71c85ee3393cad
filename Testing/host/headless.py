"""A Slicer without the application: real MRML, real .ui files and modules, widgets by PySide6.

Call `start()` before anything imports `qt`, `ctk` or a Slicer module.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import slicer
import slicer.util

_started = False


def start() -> slicer.vtkMRMLScene:
    """A new scene (slicer.mrmlScene), as empty as Slicer's after startup, on every call."""
    global _started
    import host_app
    import host_qt
    import host_scripted
    import host_widgets

    if not _started:
        host_qt.install()
        host_scripted.install()
        host_app.install()
        host_widgets.install()
        _started = True
    return host_app.new_scene()


def load_module(path: str | Path) -> tuple[object, object]:
    """The module of a scripted module's file and its panel, made as Slicer makes them."""
    import host_app
    import qt

    path = Path(path)
    name = path.stem
    # Slicer puts the folders of its modules on the path.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    code = _imported(name, path)
    parent = qt.QWidget()
    parent.path = str(path)
    module = getattr(code, name)(parent)
    panel = slicer.qMRMLWidget()
    panel.setLayout(qt.QVBoxLayout())
    panel.setMRMLScene(slicer.mrmlScene)
    panel.isEntered = True
    setattr(slicer.modules, name.lower(), host_app.Module(path=str(path)))
    widget = getattr(code, f"{name}Widget")(panel)
    setattr(slicer.modules, f"{name}Widget", widget)
    setattr(slicer.modules, f"{name}Instance", module)
    setattr(slicer.modules, name.lower(), host_app.Module(path=str(path), widget=panel))
    widget.setup()
    return module, widget


def _imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code
    spec.loader.exec_module(code)
    return code
